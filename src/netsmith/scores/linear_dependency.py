"""Linear dependency: how much of a channel the other channels of its group cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.errors import NetsmithError
from netsmith.graph import StructureGraph
from netsmith.scores.elements import weights_of
from netsmith.scores.reads import Moments, moments


def coefficients(covariance: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    r"""Predict each variable linearly from all the others: ``z_j ≈ Σ_k z_k A_kj``.

    With :math:`P = (C + r \bar c I)^{-1}`: :math:`A_{kj} = -P_{kj}/P_{jj}`, residual variance
    :math:`1/P_{jj}`.

    Args:
        covariance: ``C [d, d]``.
        ridge: r, in units of the mean variance; above 0 where variables may depend on each other exactly.

    Returns:
        ``A [d, d]``, its diagonal zero, and the residual variances ``[d]``.

    Example:
        >>> coefficients(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), 0.0)
        (tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]]), tensor([0.7500, 0.7500]))
    """
    size = len(covariance)
    scale = float(covariance.diagonal().mean()) or 1.0
    precision = torch.linalg.inv(covariance + ridge * scale * torch.eye(size, dtype=covariance.dtype))
    own = precision.diagonal()
    return (-precision / own).fill_diagonal_(0), 1 / own


def eliminate(predictions: Tensor, residuals: Tensor, unit: int) -> tuple[Tensor, Tensor]:
    r"""Return the predictions of the others, and their residual variances, once ``unit`` is not there.

    :math:`A'_{kq} = (A_{kq} + A_{kj} A_{jq}) / (1 - A_{qj} A_{jq})` for k ≠ q, and
    :math:`e'_q = e_q / (1 - A_{qj} A_{jq})`: what least squares on the remaining units gives. The whole
    sum is divided, not only its second term.

    Args:
        predictions: ``A [d, d]`` as :func:`coefficients` returns it; column j predicts unit j.
        residuals: residual variances ``[d]``.
        unit: j, the unit that goes.

    Returns:
        The same with row and column ``unit`` of the predictions zero; ``residuals[unit]`` stays as it was.
    """
    left = 1 - predictions[:, unit] * predictions[unit]
    without = (predictions + torch.outer(predictions[:, unit], predictions[unit])) / left
    without[unit], without[:, unit] = 0, 0
    return without.fill_diagonal_(0), residuals / left


@dataclass(eq=False)
class _Reader:
    """One weight that reads the channels: how they predict each other there, and what it makes of them."""

    predictions: Tensor
    residuals: Tensor
    products: Tensor

    def errors(self) -> Tensor:
        """Return the mean squared error of the reader's outputs when each channel goes, ``[size]``."""
        return self.residuals * self.products.diagonal()

    def remove(self, unit: int) -> None:
        """Fold a unit into the others."""
        moved = self.predictions[:, unit]
        row = self.products[unit]
        self.products = self.products + torch.outer(moved, row) + torch.outer(row, moved)
        self.products += row[unit] * torch.outer(moved, moved)
        self.predictions, self.residuals = eliminate(self.predictions, self.residuals, unit)


@card(
    title="Linear dependency: what the other channels cannot predict",
    paper="M. A. Shah, R. Olivier, B. Raj, 2020, arXiv:2005.14070",
    venue="ICPR 2020",
    differs=(
        "the predictions are ridge regressions in closed form (the authors': Adam), at every reader of the "
        "channel; channels are scored in the order of a greedy elimination that corrects the predictions of "
        "the rest after each (the authors' code corrects them only in part); scores are relative to the mean "
        "of the group, so that layers compare"
    ),
)
class LinearDependency:
    r"""Score each channel by the error that is left when the rest of its group predicts it for its readers.

    Channels are eliminated one by one, the least error first, and what is known of the others follows exactly
    (:func:`eliminate`): of two equal channels one scores near 0, the other what the two bring together.
    ``score(c)`` is the root of :math:`e_c \lVert W_c \rVert^2`, summed over the weights W that read c (with
    what was folded into them already), at the time c goes and not below the score of those that went before,
    relative to the root mean of :math:`E[z_c^2] \lVert W_c \rVert^2`. Use it with
    :func:`netsmith.cutting.compensate.compensate`, which folds the predictions into the readers.

    It finds what a network has too much of, and cannot make it so: where more principal components of a layer
    carry weight than channels are to stay, something is lost in any order. One with large initial weights, or
    trained shortly, has more of them.

    One forward pass, then d³ operations per group and reader of d channels. A group that no linear layer or
    convolution reads scores ones.

    Args:
        ridge: of the regressions, in units of the mean variance of the channels.
        weighted: whether the readers' weights count, or only the residuals.

    Raises:
        NetsmithError: ``ridge`` is not positive; or, when called, no loss.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with torch.no_grad():
        ...     _, _ = net[0].weight[2].copy_(net[0].weight[0]), net[0].bias[2].copy_(net[0].bias[0])
        >>> x = torch.randn(64, 4)
        >>> scores = LinearDependency()(net, lambda m: m(x).sum(), ns.trace(net, x))["0.weight:0"]
        >>> int((scores < 1e-2).sum())
        1
    """

    def __init__(self, *, ridge: float = 1e-6, weighted: bool = True) -> None:
        if not ridge > 0:
            raise NetsmithError(
                f"ridge={ridge} must be above 0, in units of the mean variance of the channels"
            )
        self.ridge = ridge
        self.weighted = weighted

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a tensor ``[size]`` per group, no two channels of which score the same."""
        weights = weights_of(model)
        found = moments(model, loss, graph, "LinearDependency")
        return {group.name: self._group(group.size, found[group.name], weights) for group in graph.groups}

    def _group(self, size: int, several: list[Moments], weights: dict[str, nn.Parameter]) -> Tensor:
        readers = [self._reader(one, weights[one.slice.tensor]) for one in several]
        energy = torch.zeros(size, dtype=torch.float64)
        for one, reader in zip(several, readers, strict=True):
            energy += one.covariance.diagonal() * reader.products.diagonal()
        unit = float(energy.clamp(min=0).mean().sqrt())
        if not unit > 0:
            return torch.ones(size, dtype=torch.float64)
        scores, there = torch.zeros_like(energy), torch.ones(size, dtype=torch.bool)
        last = torch.tensor(-1.0, dtype=torch.float64)
        above = torch.tensor(torch.inf, dtype=torch.float64)
        for _ in range(size):
            errors = torch.stack([reader.errors() for reader in readers]).sum(0).clamp(min=0)
            channel = int(errors.masked_fill(~there, torch.inf).argmin())
            # The order is part of the answer: the next one is removed from what this one leaves.
            last = torch.maximum(errors[channel].sqrt() / unit, torch.nextafter(last, above))
            scores[channel], there[channel] = last, False
            for reader in readers:
                reader.remove(channel)
        return scores

    def _reader(self, one: Moments, weight: Tensor) -> _Reader:
        columns = weight.detach().double().cpu().movedim(1, 0)[one.slice.index].flatten(1)
        products = columns @ columns.T if self.weighted else torch.eye(len(columns), dtype=torch.float64)
        return _Reader(*coefficients(one.covariance, self.ridge), products)
