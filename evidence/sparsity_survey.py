"""Sparsity in Deep Learning (survey): formats, criteria, schedules and growth; digits in the full tier.

The figures of check 4 in the column "reference" are of one run of the same design in another code.
"""

from __future__ import annotations

import math
import sys
from functools import partial

import torch
from torch import Tensor, nn

from _sparsity_survey_digits import table
from _sparsity_survey_growth import growth
from _sparsity_survey_remedies import remedies
from common import Evidence
from netsmith.clock import Clock
from netsmith.sparsity import (
    cubic,
    erdos_renyi,
    erdos_renyi_kernel,
    global_masks,
    iterated_masks,
    magnitudes,
    obd_elements,
    optimal_brain_surgeon,
    synflow_elements,
    taylor_elements,
)
from netsmith.sparsity.formats import FORMATS, sizes


def main() -> int:
    with Evidence("sparsity-survey") as evidence:
        torch.manual_seed(evidence.seed)
        formats(evidence)
        crossover(evidence)
        quadratics(evidence)
        synflow(evidence)
        schedules(evidence)
        growth(evidence)
        if evidence.full:
            table(evidence)
            remedies(evidence)
    return evidence.status


def formats(evidence: Evidence) -> None:
    """Check 1: every encoder gives the same bits back, as many as its formula says, none below the bound."""
    wrong, other_length, below = [], [], []
    for size in (1_000, 100_000):
        for density in (0.5, 0.1, 0.01, 0.001):
            tensor = torch.randn(size // 100, 100) * (torch.rand(size // 100, 100) < density)
            found = sizes(tensor)
            for name, one in FORMATS.items():
                case, stored = f"{name} at {size}, {density}", one.encode(tensor)
                same = torch.equal(one.decode(stored).view(torch.int32), tensor.view(torch.int32))
                wrong += [] if same else [case]
                other_length += [] if stored.bits == found[name] else [case]
                below += (
                    [f"{case}: {found[name] / found['bound']:.3f}"] if found[name] < found["bound"] else []
                )
    rows = {
        "round trips that are not bit-exact": wrong,
        "encodings of another length than the formula": other_length,
        "encodings shorter than log2 C(n,k) + k v": below,
    }
    for claim, cases in rows.items():
        got = ", ".join(cases) or "0 of 40"
        evidence.row(claim, reference="none", got=got, holds=not cases)


def crossover(evidence: Evidence) -> None:
    """Check 1: coordinates are shorter than a bitmap below density 1 / ceil(log2 n)."""
    for size in (1_000, 100_000):
        step = 1 / 200
        densities = [step * number for number in range(1, 60)]
        shorter = []
        for density in densities:
            tensor = torch.zeros(size)
            tensor[torch.randperm(size)[: round(density * size)]] = 1.0
            one, other = (FORMATS[name].encode(tensor).bits for name in ("coordinate", "bitmap"))
            shorter.append(one < other)
        got = densities[shorter.index(False)]
        expected = 1 / math.ceil(math.log2(size))
        evidence.row(
            f"density at which bitmap and coordinates cross, n = {size} (grid {step:g})",
            reference=f"{expected:.4f}",
            got=got,
            holds=abs(got - expected) <= step,
        )


def quadratics(evidence: Evidence) -> None:
    """Check 2: OBD and OBS are the exact increase of a quadratic loss, Taylor its first-order change."""
    size = 12
    root = torch.randn(size, 3 * size, dtype=torch.float64)
    hessian, minimum = root @ root.t(), torch.randn(size, dtype=torch.float64)
    model = nn.Linear(size, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(minimum)

    def loss(curvature: Tensor, weight: Tensor) -> Tensor:
        change = weight.flatten() - minimum
        return 0.5 * change @ curvature @ change

    diagonal = torch.diag(hessian.diagonal())
    found = obd_elements(model, lambda m: loss(diagonal, m.weight), draws=1)["weight"].flatten()
    exact = torch.stack([loss(diagonal, _without(minimum, one)) for one in range(size)])
    _row_gap(evidence, "OBD on a diagonal Hessian: relative gap to brute-force removal", found, exact, 1e-8)
    _, increase = optimal_brain_surgeon(minimum, hessian, 1)
    refits = []
    for one in range(size):
        kept = [other for other in range(size) if other != one]
        best = torch.zeros_like(minimum)
        best[kept] = torch.linalg.solve(hessian[kept][:, kept], (hessian @ minimum)[kept])
        refits.append(float(loss(hessian, best)))
    got, best_of_all = (torch.tensor([one], dtype=torch.float64) for one in (increase, min(refits)))
    _row_gap(evidence, "OBS: relative gap to the best removal with optimal refit", got, best_of_all, 1e-8)
    direction = torch.randn(size, dtype=torch.float64)
    linear = taylor_elements(model, lambda m: (m.weight.flatten() * direction).sum())["weight"].flatten()
    changes = (minimum * direction).abs()
    _row_gap(evidence, "Taylor: relative gap to the change of a linear loss", linear, changes, 1e-8)


def synflow(evidence: Evidence) -> None:
    """Check 2: SynFlow conserves the sums of layers and disconnects nothing at 99.9 %."""
    model = nn.Sequential(
        nn.Linear(64, 300, bias=False), nn.ReLU(), nn.Linear(300, 100, bias=False), nn.ReLU(),
        nn.Linear(100, 10, bias=False),
    )  # fmt: skip
    score = partial(synflow_elements, inputs=torch.zeros(1, 64))
    sums = torch.stack([values.sum() for values in score(model).values()])
    _row_gap(evidence, "SynFlow: relative gap of the layers' sums", sums, sums[:1].expand(3), 1e-5)
    rounds = 100 if evidence.full else 30
    left = iterated_masks(model, score, 0.001, rounds=rounds)
    fewest = min(int(mask.sum()) for mask in left.values())
    evidence.row(
        f"SynFlow in {rounds} rounds to 99.9 %: weights in the emptiest layer",
        reference=">= 1",
        got=fewest,
        holds=fewest >= 1,
    )
    once = global_masks(magnitudes(model), 0.001)
    evidence.row(
        "one-shot magnitude to 99.9 %: weights in the emptiest layer",
        reference="may be 0",
        got=min(int(mask.sum()) for mask in once.values()),
        holds=None,
    )


def schedules(evidence: Evidence) -> None:
    """Check 3: the cubic ramp and the layers' densities."""
    ramp = partial(cubic, initial=0.1, final=0.95, begin=0.1, end=0.8)
    values = [ramp(Clock(step, 1000, 1)) for step in range(1001)]
    ends = max(abs(values[100] - 0.1), abs(values[800] - 0.95), abs(values[0] - 0.1), abs(values[-1] - 0.95))
    evidence.row("cubic ramp: gap at its ends and outside", reference="0", got=ends, holds=ends < 1e-15)
    monotone = values == sorted(values)
    evidence.row("cubic ramp never falls", reference="True", got=monotone, holds=monotone)
    shapes = {"a": (64, 3, 3, 3), "b": (128, 64, 3, 3), "c": (256, 128, 1, 1), "d": (10, 256)}
    total = sum(math.prod(shape) for shape in shapes.values())
    for rule in (erdos_renyi, erdos_renyi_kernel):
        gaps = [
            abs(sum(rule(shapes, density).values()) - density * total) for density in (0.5, 0.1, 0.02, 0.001)
        ]
        evidence.row(
            f"{rule.__name__}: weights off the budget", reference="<= 1", got=max(gaps), holds=max(gaps) <= 1
        )


def _without(weights: Tensor, one: int) -> Tensor:
    left = weights.clone()
    left[one] = 0
    return left


def _row_gap(evidence: Evidence, claim: str, found: Tensor, exact: Tensor, limit: float) -> None:
    gap = float(((found - exact).abs() / exact.abs()).max())
    evidence.row(claim, reference=f"<= {limit:g}", got=gap, holds=gap <= limit)


if __name__ == "__main__":
    sys.exit(main())
