"""Learning which channels a network needs by gates that end open or closed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD

from netsmith.cards import card
from netsmith.contracts import Clock, Keep
from netsmith.edits.remove import remove
from netsmith.errors import NetsmithError, ScoreWarning
from netsmith.gates.gated import Gated
from netsmith.gates.readers import output_parameters
from netsmith.gates.scaled_sigmoid import ScaledSigmoid
from netsmith.graph import StructureGraph
from netsmith.penalties.selection import checked_strength
from netsmith.wrappers import network


@card(
    title="DNAL: differentiable neural architecture learning",
    paper="Q. Guo, X.-J. Wu, J. Kittler, Z. Feng, 2022, arXiv:2103.02126",
    venue="Pattern Recognition 126",
    differs=(
        "one gate per coupled channel, where weights read it, so that the branches of a residual sum share "
        "it (the authors' code: behind each batch norm, branch by branch); batch norms use the batch and the "
        "classifier learns along, as in that code, but in copies; an operator of a supernet keeps a channel"
    ),
)
class GateSearch:
    r"""Choose channels by scaled sigmoid gates, in a training loop of your own or with ``ns.train.fit``.

    The weights are trained before; here the gates are (and the head, which their scale would upset), on
    :math:`L + \lambda \sum_c \sigma(s_c)`, while their slope is annealed:

    .. code-block:: python

        search = ns.gates.GateSearch(model, ns.trace(model, x), strength=1e-4)
        optimizer = search.optimizer()
        for step, (x, y) in enumerate(batches):
            optimizer.zero_grad()
            (F.cross_entropy(search.gated(x), y) + search.penalty()).backward()
            optimizer.step()
            search.anneal((step + 1) / steps)
        small = search.extract(search.decide())   # an ordinary smaller model; train it on

    Args:
        model: trained; left as it is.
        graph: its structure graph.
        strength: loss units per open gate, >= 0: how small the network gets.
        delta: slope of the gates at the start and the end of the anneal.
        keep: a channel stays when its gate is above this, in (0.5, 1).
        groups: names of the groups to choose from; by default all that can be gated.
        head: let the parameters that make the output learn with the gates, in a copy.

    Raises:
        NetsmithError: a setting out of its range, or no group that can be gated.
        UnknownNameError: the graph has no group of this name.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: StructureGraph,
        *,
        strength: float,
        delta: tuple[float, float] = (1.0, 1e4),
        keep: float = 0.9,
        groups: Iterable[str] | None = None,
        head: bool = True,
    ) -> None:
        if not 0.5 < keep < 1:
            raise NetsmithError(f"keep={keep} must be a gate between 0.5 (undecided) and 1 (open)")
        self.strength = checked_strength(strength)
        self.keep = keep
        self.model = network(model)
        self.graph = graph
        learn = output_parameters(graph) if head else set()
        self.gated = Gated(self.model, graph, partial(ScaledSigmoid, delta=delta), groups=groups, learn=learn)
        self._optimizers: list[torch.optim.Optimizer] = []

    @property
    def gate(self) -> ScaledSigmoid:
        """The gates of all channels."""
        assert isinstance(self.gated.gate, ScaledSigmoid)
        return self.gated.gate

    def optimizer(self, *, learning_rate: float = 0.01, momentum: float = 0.9) -> SGD:
        """Return an optimiser of all that learns; :meth:`anneal` makes it forget its momentum."""
        learning = [parameter for parameter in self.gated.parameters() if parameter.requires_grad]
        made = SGD(learning, lr=learning_rate, momentum=momentum)
        self._optimizers.append(made)
        return made

    def penalty(self, model: nn.Module | None = None) -> Tensor:
        """Return the strength times the smooth count of open gates, a scalar; the argument is not needed."""
        return self.strength * self.gate.measure()

    def anneal(self, progress: float) -> None:
        """Set the slope for a share of the run from 0 to 1; call it after every step."""
        if self.gate.anneal(progress):
            for optimizer in self._optimizers:
                optimizer.state.clear()

    def after_step(self, model: nn.Module, clock: Clock) -> None:
        """Anneal, as the ``after_step`` of :func:`netsmith.train.fit`."""
        self.anneal(clock.progress)

    def undecided(self, margin: float = 0.01) -> int:
        """Return how many gates are more than ``margin`` away from both 0 and 1."""
        gates = self.gate().detach()
        return int(((gates > margin) & (gates < 1 - margin)).sum())

    def scores(self) -> dict[str, Tensor]:
        """Return what each channel's gate learnt (s), as a score; without a gate, what the highest did."""
        logits = self.gate.logits.detach()
        learnt = self.gated.by_group(logits)
        return {
            group.name: learnt.get(group.name, logits.max().expand(group.size)).clone()
            for group in self.graph.groups
        }

    def open(self, threshold: float) -> Keep:
        """Return which channels have a gate above a threshold, at least the one most open of each group."""
        keep = self.gated.by_group(self.gate().detach().cpu() > threshold)
        for name, logits in self.gated.by_group(self.gate.logits.detach()).items():
            if not bool(keep[name].any()):
                keep[name][logits.argmax().cpu()] = True
        return keep

    def decide(self) -> Keep:
        """Return which channels stay: those with a gate above ``keep``, at least one of each group.

        Warns:
            ScoreWarning: gates are undecided, and close; or all gates of a group closed, and one stays.
        """
        count = self.undecided()
        if count:
            warnings.warn(
                f"{count} of {len(self.gate.logits)} gates are undecided (between 0.01 and 0.99); anneal for "
                "longer or to a higher delta, or rank by scores()",
                ScoreWarning,
                stacklevel=2,
            )
        for name, gates in self.gated.by_group(self.gate().detach()).items():
            if not bool((gates > self.keep).any()):
                warnings.warn(
                    f"all {len(gates)} gates of group {name} closed; one stays, because the network needs it "
                    f"(strength {self.strength:g} may be too high)",
                    ScoreWarning,
                    stacklevel=2,
                )
        return self.open(self.keep)

    def harden(self, keep: Keep) -> None:
        """Make the gates a mask: what ``gated`` then gives is what the extracted network will, exactly."""
        full = {name: torch.ones(size, dtype=torch.bool) for name, size in self.gated.sizes.items()}
        stay = torch.cat([keep.get(name, own).cpu() for name, own in full.items()])
        self.gate.harden(stay.to(self.gate.logits.device))

    def extract(self, keep: Keep) -> nn.Module:
        """Return the model without the other channels and without gates; ``model`` is untouched.

        Its batch norms have the statistics that they gathered under the gates.

        Raises:
            EditError: ``keep`` does not fit the graph.
        """
        small, _ = remove(self.model, self.graph, keep)
        learnt, _ = remove(self.gated.network, self.graph, keep)
        small.load_state_dict(learnt.state_dict())
        return small
