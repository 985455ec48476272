"""DNAL: learn gates on the channels of a frozen network, cut those that close, train what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.gates.gate_search import GateSearch
from netsmith.recipes.strength_ramp import StrengthRamp

if TYPE_CHECKING:
    from netsmith.contracts import Clock
    from netsmith.recipes.job import Job

CLOSED = 0.1
"""A gate below this counts as closed when the strength follows the budget; one half open is undecided."""


class Annealing:
    """Anneals the gates of a search and lets its strength follow a ramp: an ``after_step`` callable."""

    def __init__(self, search: GateSearch, ramp: StrengthRamp | None) -> None:
        self.search = search
        self.ramp = ramp

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        """Set slope and strength for the next step."""
        self.search.after_step(model, clock)
        if self.ramp is not None:
            self.ramp(model, clock)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs; the slope is in the state of the gates."""
        return {} if self.ramp is None else self.ramp.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        if self.ramp is not None:
            self.ramp.load_state_dict(state)


@card(
    title="DNAL: scaled sigmoid gates learnt on frozen weights, cut, fine-tuned",
    paper="Q. Guo, X.-J. Wu, J. Kittler, Z. Feng, 2022, arXiv:2103.02126",
    venue="Pattern Recognition 126",
    differs=(
        "the strength follows a budget unless fixed, and the channels whose gates learnt most stay until the "
        "budget holds (the paper: a strength by hand, and whatever it leaves); the first phase is the "
        "training that the network had before; one gate per coupled channel where weights read it; an "
        "operator of a supernet keeps one channel at least"
    ),
)
def dnal(job: Job) -> nn.Module:
    """Return the model without the channels whose gates closed first, fine-tuned.

    The weights are trained (phase 1: before, and for the share ``weights`` of the epochs), then gates on
    frozen weights (phase 2), then channels go, lowest gate first, until the budget holds, and what is left is
    trained (phase 3). See :class:`~netsmith.gates.GateSearch`.

    Options:
        strength: of the penalty on open gates at the start, loss units per gate.
        adapt: whether the strength then follows the budget, or stays.
        weights: share of the epochs that go on training the weights before, between 0 and 1.
        gates: share of the epochs that learn the gates; at least one epoch. The others fine-tune.
        delta: slope of the gates at the end; it starts at 1.
        gate_rate: learning rate of the gates.
        learning_rate: of the weights, before and in fine-tuning; 0 takes the trainer's default.

    Raises:
        NetsmithError: shares that are negative or more than 1 together, a setting of the search out of its
            range, or a network with no group that can be gated.
    """
    import netsmith as ns

    settings = job.settings(
        strength=1e-3, adapt=True, weights=0.0, gates=0.25, delta=1e4, gate_rate=0.01, learning_rate=0.0
    )
    before, learning = _epochs(job, settings["weights"], settings["gates"])
    rate = settings["learning_rate"] or None
    graph = ns.trace(job.model, job.inputs)
    if before:
        job.fit(job.model, epochs=before, learning_rate=rate, stage="weights")
    search = GateSearch(job.model, graph, strength=settings["strength"], delta=(1.0, settings["delta"]))
    ramp = StrengthRamp(search, graph, job.budget, lambda _: search.open(CLOSED))
    job.fit(
        search.gated,
        epochs=learning,
        optimizer=search.optimizer(learning_rate=settings["gate_rate"]),
        learning_rate=settings["gate_rate"],
        schedule="constant",
        penalty=search.penalty,
        after_step=Annealing(search, ramp if settings["adapt"] else None),
        stage="gates",
    )
    _note(job, search, ramp.excess(search.gated))
    # What learnt beside the gates, and the statistics gathered under them, are the network's from now on.
    job.model.load_state_dict(search.gated.network.state_dict())
    small = ns.shrink(job.model, job.inputs, budget=job.budget, score=search.scores(), round_to=job.round_to)
    job.fit(small, epochs=job.epochs - before - learning, learning_rate=rate, stage="finetune")
    return small


def _epochs(job: Job, weights: float, gates: float) -> tuple[int, int]:
    if weights < 0 or gates < 0 or weights + gates > 1:
        raise NetsmithError(
            f"options weights={weights} and gates={gates} are shares of the epochs; expected 0 to 1 together"
        )
    learning = min(job.epochs, max(1, round(job.epochs * gates)))
    return min(round(job.epochs * weights), job.epochs - learning), learning


def _note(job: Job, search: GateSearch, excess: float) -> None:
    gates = search.gate().detach()
    still_open = int((gates > search.keep).sum())
    job.notes["dnal"] = {
        "gates": len(gates),
        "open": still_open,
        "undecided": search.undecided(),
        "not_gated": search.gated.ungated,
        "strength_at_the_end": search.strength,
        "cost_over_budget_before_the_cut": excess,
    }
    job.log(f"{still_open} of {len(gates)} gates ended open, at {excess:.2f} of the budget; cutting to it")
