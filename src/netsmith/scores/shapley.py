"""Shapley: what each channel adds to the network, on average over which other channels there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from netsmith.analysis.quadrature import Levels
from netsmith.analysis.sampling import Game, Method
from netsmith.analysis.shapley import shapley
from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.errors import NetsmithError
from netsmith.graph import Group, StructureGraph
from netsmith.modes import evaluating
from netsmith.scores.elements import value_of
from netsmith.scores.masked_reads import masked_reads


@card(
    title="Shapley values of channels by multilinear sampling",
    paper="R. Okhrati, A. Lipani, 2020, arXiv:2010.12082",
    venue="ICPR 2020",
    differs=(
        "the paper explains inputs; here players are the channels of a group, absent where they are read; "
        "worth is minus the loss; levels are stratified at random, with complements, unless told otherwise"
    ),
)
class Shapley:
    r"""Score each channel by its Shapley value in the game whose worth is minus the loss.

    Players are the channels of one group, the rest of the network being whole; a channel that is absent is
    zero wherever it is read, after activation and norm. :math:`φ_c = E[loss(S) - loss(S ∪ c)]` over sets S of
    all sizes: what a channel is worth when many are gone, not only the first to go. In units of the loss;
    negative where the channel does harm. Rank within groups (``scope="local"``), or take a loss with a bound:
    without an early layer a network may be sure of wrong answers, and cross entropy then far above guessing.

    ``coalitions * (size + 1)`` forward passes per group, twice that with complements; ``exact`` takes
    ``2**size``. That is dear, and small networks cut at once by it lost no less than by magnitude
    (``evidence/multilinear_shapley.py``). What a norm across channels would do differently without the
    channel is not seen. A group that no weight reads scores 0.

    Args:
        coalitions: draws per group; one with its complement counts as one.
        method: see :func:`netsmith.analysis.shapley`.
        levels: see :func:`netsmith.analysis.shapley`.
        seed: where draws start.

    Raises:
        NetsmithError: fewer than 1 coalition, or, when called, no loss or one that is no scalar or not
            finite without some channels.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> with torch.no_grad():
        ...     _ = net[2].weight[:, 1].zero_()
        >>> x = torch.randn(8, 2)
        >>> scores = Shapley()(net, lambda m: m(x).square().mean(), ns.trace(net, x))
        >>> float(scores["0.weight:0"][1])
        0.0
    """

    def __init__(
        self,
        *,
        coalitions: int = 8,
        method: Method = "owen_antithetic",
        levels: Levels = "stratified",
        seed: int = 0,
    ) -> None:
        if coalitions < 1:
            raise NetsmithError(f"coalitions={coalitions}; the score Shapley needs at least 1 per group")
        self.coalitions = coalitions
        self.method: Method = method
        self.levels: Levels = levels
        self.seed = seed
        self.errors: dict[str, Tensor] = {}
        """Standard errors of the latest call, ``[size]`` per group."""

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a tensor of shape ``[size]`` per group."""
        scores: dict[str, Tensor] = {}
        each = 2 if self.method == "owen_antithetic" else 1
        with evaluating(model), torch.no_grad():
            for number, group in enumerate(graph.groups):
                estimate = shapley(
                    self._game(model, loss, group),
                    group.size,
                    method=self.method,
                    levels=self.levels,
                    budget=self.coalitions * each * (group.size + 1),
                    generator=torch.Generator().manual_seed(self.seed + number),
                )
                scores[group.name], self.errors[group.name] = estimate.values.cpu(), estimate.errors.cpu()
        return scores

    def _game(self, model: nn.Module, loss: Loss | None, group: Group) -> Game:
        whole = _Loss(model, loss)

        def worth(coalitions: Tensor) -> Tensor:
            losses = []
            for keep in coalitions:
                masked = masked_reads(model, group, keep)
                tensors = {f"model.{name}": tensor for name, tensor in masked.items()}
                losses.append(functional_call(whole, tensors, ()))
            return -torch.stack(losses)

        return worth


class _Loss(nn.Module):
    """The loss of a model, as a module that holds the model, so that tensors in it can be lent."""

    def __init__(self, model: nn.Module, loss: Loss | None) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, *_: Any) -> Tensor:
        return value_of(self.model, self.loss, "Shapley").double()
