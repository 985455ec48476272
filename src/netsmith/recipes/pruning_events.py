"""Pruning events: cuts between the epochs of a training that goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from netsmith.errors import NetsmithError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from netsmith.contracts import Inputs, Loss, Score
    from netsmith.cost import Budget

FOLDS = {"none": None, "mean": math.inf, "regression": 1e-6}
EVENTS = 6
"""Events where nothing says how many."""


class PruningEvents:
    """Cuts a network between two epochs of its training, and lets the optimiser follow: for any loop.

    An event scores the network as it is, removes its lowest channels for good, folds what they bring on
    average into the next bias, and moves the optimiser's state along. Votes are counted in evaluation mode.
    The fold mends what the loss of always-on channels breaks; where most of a layer goes at once it can drown
    what is left. A reader that a batch norm follows needs no bias: the norm takes the mean up by itself.

    Args:
        inputs: example inputs.
        loss: ``model -> scalar`` on training data of some hundred examples; their forward passes count.
        score: default :class:`netsmith.scores.MajorityVoting` by its defaults.
        fold: ``"mean"``, ``"regression"`` on the channels that stay, or ``"none"``.
        min_width: channels of every group that stay.

    Attributes:
        history: per event the scores of all channels, the removed ones, and the widths that are left.

    Raises:
        UnknownNameError: no fold of that name.
        NetsmithError: ``min_width`` below 1.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 10), torch.nn.ReLU(), torch.nn.Linear(10, 2))
        >>> x, optimizer = torch.randn(32, 4), torch.optim.Adam(net.parameters())
        >>> events = ns.recipes.PruningEvents(x, lambda model: model(x).square().mean())
        >>> net, optimizer = events.step(net, optimizer, ratio=0.2)
        >>> net[0].out_features
        8
    """

    def __init__(
        self,
        inputs: Inputs,
        loss: Loss,
        *,
        score: Score | None = None,
        fold: str = "mean",
        min_width: int = 1,
    ) -> None:
        from netsmith.scores.majority_voting import MajorityVoting

        if fold not in FOLDS:
            raise UnknownNameError("fold", fold, FOLDS)
        if min_width < 1:
            raise NetsmithError(f"min_width={min_width}; at least 1 channel of every group stays")
        self.inputs = inputs
        self.loss = loss
        self.score: Score = MajorityVoting() if score is None else score
        self.ridge = FOLDS[fold]
        self.min_width = min_width
        self.history: list[dict[str, Any]] = []

    def step(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        budget: Budget | None = None,
        scope: str = "local",
        **options: Any,
    ) -> tuple[nn.Module, Optimizer]:
        """Return the smaller network and its optimiser.

        Args:
            model: untouched.
            optimizer: of the model; changed in place.
            budget: what the smaller network may cost; or ``ratio=`` the share of channels to remove.
            scope: ``"local"`` removes the same share of every group, ``"global"`` ranks them together.
            options: of :func:`netsmith.shrink`.

        Raises:
            BudgetError: neither or both of budget and ratio, a ratio outside [0, 1), or a budget that cannot
                be reached with these widths.
        """
        from netsmith.edits import rebind
        from netsmith.edits.records import records
        from netsmith.graph import trace

        graph = trace(model, self.inputs)
        scores = self.score(model, self.loss, graph)
        protect: list[str] = []
        while True:
            chosen = {"budget": budget, "scope": scope, "protect": protect, **options}
            small = self._cut(model, scores, chosen)
            removed: dict[str, list[int]] = records(small)[-1]["groups"]
            widths = {group.name: group.size - len(removed.get(group.name, ())) for group in graph.groups}
            narrow = [name for name in removed if removed[name] and widths[name] < self.min_width]
            if not narrow:
                break
            protect += narrow
        rebind(optimizer, model, small)
        self.history.append({"scores": scores, "removed": removed, "widths": widths})
        return small, optimizer

    def _cut(self, model: nn.Module, scores: Any, options: dict[str, Any]) -> nn.Module:
        from netsmith.cutting.compensated import cut_and_compensate
        from netsmith.cutting.shrink import shrink

        if self.ridge is None:
            return shrink(model, self.inputs, score=scores, **options)
        small, _ = cut_and_compensate(
            model, self.inputs, score=lambda *_: scores, loss=self.loss, ridge=self.ridge, **options
        )
        return small


def event_epochs(epochs: int, start: float, stop: float, every: int) -> list[int]:
    """Return after which epochs channels go.

    Args:
        epochs: of the whole run.
        start: share of them before the first event.
        stop: share of them before the last one; not below ``start``.
        every: epochs between events; 0 spreads six.

    Raises:
        NetsmithError: shares that are not 0 <= start <= stop <= 1, or ``every`` below 0.

    >>> event_epochs(60, 0.1, 0.7, 0), event_epochs(60, 0.1, 0.6, 10), event_epochs(2, 0.1, 0.7, 0)
    ([6, 13, 20, 27, 34, 42], [6, 16, 26, 36], [0, 1])
    """
    if not 0 <= start <= stop <= 1:
        raise NetsmithError(
            f"options start={start}, stop={stop}; expected shares of the epochs, 0 to 1, in order"
        )
    if every < 0:
        raise NetsmithError(f"option every is {every}; expected epochs between events, or 0 for six events")
    first, last = round(epochs * start), round(epochs * stop)
    if every:
        return list(range(first, last + 1, every))
    steps = range(EVENTS)
    return sorted({first + (last - first) * step // (EVENTS - 1) for step in steps})
