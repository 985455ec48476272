"""Linear dependency: lossless where channels depend exactly, and what is lost where they do so nearly.

The quick tier plants dependencies, and cuts an MLP on the digits without retraining; the full tier looks for
what decides how much is lost there, and anneals two CNNs on 3,000 images of Fashion-MNIST.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

import _linear_dependency_anneal
import _linear_dependency_digits
import netsmith as ns
from common import Evidence
from netsmith.contracts import Keep
from netsmith.cutting.compensate import compensate
from netsmith.edits import remove
from netsmith.scores.linear_dependency import LinearDependency, coefficients, eliminate


def main() -> int:
    with Evidence("linear-dependency-compression") as evidence:
        torch.manual_seed(evidence.seed)
        planted_units(evidence)
        planted_channels(evidence)
        elimination(evidence)
        _linear_dependency_digits.check(evidence)
        if evidence.full:
            _linear_dependency_anneal.check(evidence)
    return evidence.status


def smaller(
    model: nn.Module, x: Tensor, keep: Keep, *, folded: bool = True, ridge: float = 1e-6
) -> nn.Module:
    """Return the model without what ``keep`` removes, compensated on ``x`` or not."""
    graph = ns.trace(model, x)
    ready = compensate(model, graph, keep, lambda m: m(x).sum(), ridge=ridge) if folded else model
    return remove(ready, graph, keep)[0].eval()


def gap(model: nn.Module, small: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((model(x) - small(x)).abs().max())


def planted_units(evidence: Evidence) -> None:
    """Plant 8 of 20 units as multiples of others, and let the score find 8 to remove."""
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5)).double()
    factors = 0.5 + torch.rand(8, dtype=torch.float64)
    with torch.no_grad():
        model[0].weight[12:] = factors[:, None] * model[0].weight[:8]
        model[0].bias[12:] = factors * model[0].bias[:8]
    x, fresh = torch.randn(2, 256, 10, dtype=torch.float64)
    found = LinearDependency()(model, lambda m: m(x).sum(), ns.trace(model, x))["0.weight:0"]
    keep = {"0.weight:0": found > found.sort().values[7]}
    lost = gap(model, smaller(model, x, keep, ridge=0.0), fresh)
    evidence.row(
        "8 of 20 units that depend exactly go: largest change of an output, float64",
        reference="< 1e-9 (2.5e-13)",
        got=lost,
        holds=lost < 1e-9,
    )


def planted_channels(evidence: Evidence) -> None:
    """Plant copies and an average of channels between convolutions, with and without borders."""
    worst = 0.0
    for stride, padding in ((1, 0), (1, 1), (2, 1), (2, 0)):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 6, 3, stride=stride, padding=padding),
        ).eval()  # fmt: skip
        with torch.no_grad():
            for one, of in ((5, 0), (6, 1)):
                model[0].weight[one], model[0].bias[one] = model[0].weight[of], model[0].bias[of]
            # An average survives the ReLU where that is always open.
            model[0].weight[7] = (model[0].weight[2] + model[0].weight[3]) / 2
            model[0].bias[[2, 3, 7]] = 5.0
        x, fresh = torch.randn(2, 16, 3, 9, 9)
        keep = {"0.weight:0": torch.arange(8) < 5}
        graph = ns.trace(model, x)
        ready = compensate(model, graph, keep, lambda m, x=x: m(x).sum(), ridge=0.0)
        worst = max(worst, gap(model, ready, fresh))
    evidence.row(
        "two copied and one averaged channel go unread, strides 1, 2, padding 0, 1: largest change, float32",
        reference="< 1e-5",
        got=worst,
        holds=worst < 1e-5,
    )


def elimination(evidence: Evidence) -> None:
    """Compare the elimination formula, and the one in circulation, with least squares after 3 removals."""
    z = torch.randn(500, 20, dtype=torch.float64) @ torch.randn(20, 20, dtype=torch.float64)
    predictions, residuals = coefficients(z.T @ z / len(z), 0.0)
    wrong, rest = predictions, list(range(20))
    for unit in (4, 11, 17):
        left = 1 - wrong[:, unit] * wrong[unit]
        wrong = wrong + torch.outer(wrong[:, unit], wrong[unit]) / left
        predictions, residuals = eliminate(predictions, residuals, unit)
        rest.remove(unit)
    ours, theirs = 0.0, 0.0
    for unit in rest:
        others = [k for k in rest if k != unit]
        best = torch.linalg.lstsq(z[:, others], z[:, unit : unit + 1]).solution[:, 0]
        ours = max(ours, float((predictions[others, unit] - best).abs().max()))
        theirs = max(theirs, float((wrong[others, unit] - best).abs().max()))
    evidence.row(
        "elimination against least squares on the rest", reference="<= 1e-6", got=ours, holds=ours <= 1e-6
    )
    evidence.row(
        "the variant that divides the correction only fails the same check",
        reference="> 1e-6",
        got=theirs,
        holds=theirs > 1e-6,
    )


if __name__ == "__main__":
    sys.exit(main())
