"""Transformable architecture search: widths and depths as distributions, learned beside the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Inputs
from netsmith.cost import Budget
from netsmith.cutting.scoring import check_values
from netsmith.errors import BudgetError, EditError, NetsmithError
from netsmith.graph import trace
from netsmith.searches.architecture import Architecture, built
from netsmith.searches.cost_loss import cost_loss, limits_of
from netsmith.searches.expected_cost import KINDS, ExpectedCost, Sizes
from netsmith.searches.reading_out import read_out
from netsmith.searches.sampling import annealed, draw, perturbed
from netsmith.searches.search_space import search_space
from netsmith.searches.sites import install
from netsmith.searches.stages import DepthChoice
from netsmith.searches.width_mixing import WidthChoice
from netsmith.wrappers import network

RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@card(
    title="Transformable architecture search: widths and depths as learned distributions",
    paper="X. Dong, Y. Yang, 2019, arXiv:1905.09717",
    venue="NeurIPS 2019",
    differs=(
        "layers that a residual addition couples share one width (the paper: each its own, added on the "
        "leading channels, with 1x1 convolutions where they differ), so that the network built is the one "
        "that was searched; a width is mixed where its channels are made, with one batch norm per width, and "
        "again at a batch norm that reads a sum; where the most probable network misses the budget, the "
        "sizes that lose the least probability change"
    ),
)
class TransformableSearch(nn.Module):
    """A copy of a network whose widths and depths are drawn anew in every forward pass.

    Each group of coupled channels has logits over its widths, each stage of residual blocks logits over how
    many of them stay. In training mode ``samples`` different widths of each group run at once, their maps
    interpolated to the widest and mixed, and all depths of a stage, mixed as well: both with weights from
    Gumbel noise that carry gradients to the logits. In evaluation mode the most probable network runs.

    It is an ordinary module for a loop of your own: weights are ``search.network.parameters()``, logits are
    ``search.structure()``, the loss of the logits is that of the task plus a multiple of
    :meth:`cost_loss`, and :meth:`anneal` lowers the temperature. :class:`netsmith.searches.Alternation` does
    both steps for :func:`netsmith.train.fit`. All state is in ``state_dict``; noise is from torch's global
    generator.

    Args:
        model: the unpruned network; copied, and untouched.
        inputs: example inputs, as for :func:`netsmith.trace`.
        budget: what the built network may cost, in MACs, parameters or bytes.
        ratios: shares of a group's channels that may stay, in (0, 1]; 1 always may.
        depth: whether blocks may go, every second number of each stage's.
        samples: widths drawn at once.
        order: which channels come first, ``[size]`` per group; a width takes the first ones.
        round_to: widths are multiples of this.

    Raises:
        BudgetError: another kind of cost, or a budget below the smallest network of the search.
        NetsmithError: ratios or samples out of range.
        EditError: no group can be searched (says why), depth where no stage has two blocks, or no values.

    Example:
        >>> import torch, netsmith as ns
        >>> net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 32, 32), width=0.5)
        >>> x = torch.zeros(2, 3, 32, 32)
        >>> search = ns.searches.TransformableSearch(net, x, budget=ns.Budget(macs=0.5))
        >>> search(x).shape, search.space.sizes.depths
        (torch.Size([2, 10]), [(1, 3), (0, 2), (0, 2)])
    """

    temperature: Tensor

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        *,
        budget: Budget,
        ratios: Sequence[float] = RATIOS,
        depth: bool = True,
        samples: int = 2,
        order: Mapping[str, Tensor] | None = None,
        round_to: int = 1,
    ) -> None:
        super().__init__()
        if not set(budget.kinds) <= set(KINDS):
            raise BudgetError(
                f"budget {', '.join(budget.kinds)}: the expected cost is known of {', '.join(KINDS)} alone"
            )
        model = network(model)
        check_values(model)
        if any(parameter.is_meta for parameter in model.parameters()):
            raise EditError(
                "the model is on the meta device, without values; a search trains it: load weights"
            )
        self.graph = trace(model, inputs)
        self.order = dict(order or {})
        self.space = search_space(
            model, inputs, self.graph, ratios=ratios, depth=depth, order=self.order, round_to=round_to
        )
        self.samples = _checked(samples, self.space.sizes)
        self._model_and_inputs = (model, inputs)
        self._expected = ExpectedCost(self.graph, self.space.sizes, budget.kinds)
        self.limits = limits_of(self.graph, budget, self._expected)
        self.network = copy.deepcopy(model)
        sizes = self.space.sizes
        self._choices = {name: WidthChoice(widths) for name, widths in sizes.widths.items()}
        self._stages = [DepthChoice(*pair) for pair in zip(sizes.stages, sizes.depths, strict=True)]
        install(self.network, self.space.sites, self._choices, self.order)
        for stage in self._stages:
            stage.install(self.network)
        self.widths = nn.ParameterList(_logits(widths) for widths in sizes.widths.values())
        self.depths = nn.ParameterList(_logits(depths) for depths in sizes.depths)
        self.register_buffer("temperature", torch.tensor(annealed(0.0)))

    def structure(self) -> Iterator[nn.Parameter]:
        """Return the logits of all widths and depths."""
        yield from self.widths
        yield from self.depths

    def anneal(self, progress: float, first: float = 5.0, last: float = 0.1) -> None:
        """Set the temperature for a share of the search that is done."""
        self.temperature.fill_(annealed(progress, first, last))

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Return what the drawn network, or in evaluation mode the most probable one, makes of the inputs."""
        self._draw() if self.training else self._settle()
        try:
            return self.network(*arguments, **keywords)
        finally:
            for choice in self._choices.values():
                choice.release()
            for stage in self._stages:
                stage.release()

    def expected_cost(self) -> dict[str, Tensor]:
        """Return ``E[cost]`` of every kind in the budget, which carries gradients to the logits."""
        return self._expected(
            *([one.softmax(dim=-1) for one in group] for group in (self.widths, self.depths))
        )

    def cost_loss(self, tolerance: float = 0.05) -> Tensor:
        """Return the sum of :func:`cost_loss` over the kinds of cost in the budget."""
        actual = self._expected.of(*self._likeliest())
        losses = [
            cost_loss(expected, actual[kind], self.limits[kind], tolerance)
            for kind, expected in self.expected_cost().items()
        ]
        return torch.stack(losses).sum().to(self.temperature.dtype)

    def architecture(self, *, within_budget: bool = True) -> Architecture:
        """Return the most probable architecture, changed where it misses the budget (:func:`read_out`)."""
        widths, depths = self._likeliest()
        if within_budget:
            count, logits = len(widths), [*self.structure()]
            places = read_out(logits, lambda p: self._expected.of(p[:count], p[count:]), self.limits)
            widths, depths = places[:count], places[count:]
        sizes = self.space.sizes
        chosen = zip(sizes.widths.items(), widths, strict=True)
        kept = zip(sizes.stages, sizes.depths, depths, strict=True)
        return Architecture(
            {name: options[place] for (name, options), place in chosen},
            {stage[0].name: options[place] for stage, options, place in kept},
            self._expected.of(widths, depths),
        )

    def build(self, architecture: Architecture | None = None) -> nn.Module:
        """Return the network of an architecture, really smaller and verified; default the one that was found.

        It has the slices of the weights of the model given at the start. The method trains it from new ones:
        weights that were shared between widths are no start.

        Raises:
            EditError: the architecture is of another search, or the network built is not what it should be.
        """
        model, inputs = self._model_and_inputs
        architecture = architecture or self.architecture()
        return built(model, inputs, self.graph, self.space.sizes, self.order, architecture)

    def _likeliest(self) -> tuple[list[int], list[int]]:
        widths, depths = ([int(one.argmax()) for one in group] for group in (self.widths, self.depths))
        return widths, depths

    def _draw(self) -> None:
        temperature = float(self.temperature)
        for choice, logits in zip(self._choices.values(), self.widths, strict=True):
            places, weights = draw(logits, temperature, self.samples)
            choice.set(places.tolist(), weights if self.samples > 1 else None)
        for stage, logits in zip(self._stages, self.depths, strict=True):
            stage.set(perturbed(logits, temperature).softmax(dim=-1))

    def _settle(self) -> None:
        widths, depths = self._likeliest()
        for choice, place in zip(self._choices.values(), widths, strict=True):
            choice.set([place])
        for stage, place in zip(self._stages, depths, strict=True):
            stage.set(place)


def _checked(samples: int, sizes: Sizes) -> int:
    options = min(map(len, sizes.widths.values()))
    if not 1 <= samples <= options:
        raise NetsmithError(
            f"samples={samples}: expected 1 to {options}, the widths of the group with the fewest"
        )
    return samples


def _logits(options: Sequence[int]) -> nn.Parameter:
    return nn.Parameter(0.01 * torch.randn(len(options)))
