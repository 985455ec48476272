"""Training inside a ball without projecting: each step goes towards a vertex."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.contracts import LinearMinimiser
from netsmith.errors import NetsmithError


@card(
    "Stochastic Frank-Wolfe",
    paper="Pokutta, Spiegel, Zimmer, arXiv:2010.07243",
    differs="the plain step without gradient rescaling or momentum",
)
class FrankWolfe(torch.optim.Optimizer):
    """Optimiser ``W <- W + lr · (V - W)``, V the vertex of the ball that minimises ``<gradient, V>``.

    Weights that start in the ball stay in it (a convex combination each step), without any projection; start
    with :func:`netsmith.drivers.project_`. Zeros are not exact: project at the end, or use a projection
    driver if they must be.

    Args:
        parameters: tensors or parameter groups.
        ball: the set, with its linear minimiser.
        lr: share of the way to the vertex, in (0, 1].
    """

    def __init__(self, parameters: Iterable[Any], ball: LinearMinimiser, *, lr: float = 0.01) -> None:
        if not 0 < lr <= 1:
            raise NetsmithError(f"lr is {lr}, expected a share above 0 and up to 1 of the way to the vertex")
        self.ball = ball
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.lerp_(self.ball.minimise_linear(parameter.grad), group["lr"])
        return loss
