"""Structured knowledge transfer: what its losses do not see, density maps, what students cost, its effect."""

from __future__ import annotations

import copy
import math
import sys
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsmith as ns
from _skt_crowds import crowd_counting
from common import Evidence
from netsmith.targets import (
    StructuredTransfer,
    counting_error,
    density_map,
    pattern_transfer,
    relation_transfer,
)

FRONT = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512)
BACK = (512, 512, 512, 256, 128, 64)
TAPS = {name: name for name in ("1", "4", "9", "16", "24", "30")}
"""After conv1_1, the three poolings, and the first and fourth dilated convolution."""


def main() -> int:
    with Evidence("skt") as evidence:
        torch.manual_seed(evidence.seed)
        identities(evidence)
        gradients(evidence)
        densities(evidence)
        accounting(evidence)
        if evidence.full:
            crowd_counting(evidence)
    return evidence.status


def identities(evidence: Evidence) -> None:
    """What the terms are for equal networks, and what they do not see."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 1, 3, padding=1)
    )
    x, labels = torch.randn(2, 3, 8, 8), torch.zeros(2, 1, 4, 4)
    same = StructuredTransfer(
        net, copy.deepcopy(net), x, taps={"0": "0", "2": "2"}, loss=lambda y, _: 0 * y.sum()
    )
    value = abs(same(net, (x, labels)).item())
    evidence.row(
        "all terms, student = teacher, no adapters", reference="0 to 1e-6", got=value, holds=value <= 1e-6
    )
    ours, theirs = _maps(1), _maps(2)
    scaled = ours[0] * (0.1 + torch.rand(2, 1, 8, 8))
    gap = _gap(pattern_transfer(scaled, theirs[0]), pattern_transfer(ours[0], theirs[0]))
    evidence.row(
        "pattern term, pixels rescaled: relative gap", reference="<= 1e-5", got=gap, holds=gap <= 1e-5
    )
    affine = [(0.5 + torch.rand(1, m.shape[1], 1, 1)) * m + torch.randn(1, m.shape[1], 1, 1) for m in ours]
    gap = _gap(relation_transfer(affine, theirs), relation_transfer(ours, theirs))
    evidence.row(
        "relation term, channels scaled and shifted: relative gap (the norm has an epsilon of 1e-5)",
        reference="<= 1e-4", got=gap, holds=gap <= 1e-4,
    )  # fmt: skip
    pooled = [[F.max_pool2d(m, m.shape[-1] // 4) for m in side] for side in (ours, theirs)]
    order = torch.randperm(16)
    moved = [[m.flatten(2)[..., order].reshape(m.shape) for m in side] for side in pooled]
    gap = _gap(relation_transfer(*moved), relation_transfer(*pooled))
    evidence.row(
        "relation term, pixels permuted together: relative gap",
        reference="<= 1e-5",
        got=gap,
        holds=gap <= 1e-5,
    )
    gap = max(
        _gap(relation_transfer(ours, theirs, "sum"), _relations_by_loop(ours, theirs)),
        _gap(pattern_transfer(ours[0], theirs[0], "sum"), _patterns_by_loop(ours[0], theirs[0])),
    )
    evidence.row(
        "both terms against explicit loops: relative gap", reference="<= 1e-5", got=gap, holds=gap <= 1e-5
    )


def gradients(evidence: Evidence) -> None:
    """Whom the loss moves."""
    large, small, x = csrnet(8), csrnet(32), torch.randn(1, 3, 32, 32)
    loss = StructuredTransfer(large, small, x, taps=TAPS, loss=F.mse_loss)
    loss(small, (x, torch.zeros(1, 1, 4, 4))).backward()
    moved = all(p.grad is not None for p in (*small.parameters(), *loss.adapters.parameters()))
    still = all(p.grad is None for p in (*large.parameters(), *loss.teacher.parameters()))
    evidence.row(
        "gradients reach the student and its adapters, not the teacher", reference=True, got=moved and still,
        holds=moved and still,
    )  # fmt: skip
    ours, theirs = ([torch.randn(1, 3, 4, 4) for _ in range(len(TAPS) + 1)] for _ in range(2))
    pairs = list(combinations(range(len(ours)), 2))
    parts = [relation_transfer([ours[i], ours[j]], [theirs[i], theirs[j]]) for i, j in pairs]
    gap = _gap(relation_transfer(ours, theirs), float(torch.stack(parts).sum()))
    evidence.row(
        f"relations of six taps and the output are those of {len(pairs)} pairs: relative gap",
        reference="21 pairs, <= 1e-5", got=gap, holds=gap <= 1e-5 and len(pairs) == 21,
    )  # fmt: skip


def densities(evidence: Evidence) -> None:
    """Density maps sum to the number of points; errors of a set made by hand."""
    worst = 0.0
    for number in (0, 1, 7, 300):
        points = torch.rand(number, 2) * torch.tensor([97.0, 130.0])
        points[: number // 2] = points[: number // 2].round()
        points[:1] = 0.0
        for sigma in (4.0, "adaptive"):
            for stride in (1, 8):
                total = density_map(points, (97, 130), sigma=sigma, stride=stride).sum()
                worst = max(worst, abs(float(total) - number))
    evidence.row(
        "density maps, 0 to 300 points, borders and corners, before and after pooling: off by",
        reference="<= 1e-4", got=worst, holds=worst <= 1e-4,
    )  # fmt: skip
    got = counting_error(
        torch.tensor([[3.0, 0.0], [1.0, 1.0], [6.0, 4.0]]), torch.tensor([[2.0], [4.0], [10.0]])
    )
    right = math.isclose(got.mae, 1.0) and math.isclose(got.rmse, math.sqrt(5 / 3), rel_tol=1e-6)
    evidence.row(
        "errors 1, -2, 0: MAE, RMSE", reference="1, 1.291", got=f"{got.mae:.3f}, {got.rmse:.3f}", holds=right
    )


def accounting(evidence: Evidence) -> None:
    """CSRNet and a student of a quarter of its channels."""
    with torch.device("meta"):
        models, image = (csrnet(1), csrnet(4)), torch.zeros(1, 3, 576, 864)
    totals = [ns.profile(model, image).total for model in models]
    for name, total, params, macs in (
        ("CSRNet", totals[0], 16.26, 205.88),
        ("1/4-CSRNet without adapters", totals[1], 1.02, 13.09),
    ):
        got = (round(total["params"] / 1e6, 2), round(total["macs"] / 1e9, 2))
        evidence.row(
            f"{name} at 576x864: 1e6 parameters, 1e9 multiply-adds", reference=f"{params}, {macs} to 1 %",
            got=f"{got[0]}, {got[1]}", holds=got[0] == params and abs(got[1] / macs - 1) < 0.01,
        )  # fmt: skip
    times = totals[0]["macs"] / totals[1]["macs"]
    evidence.row("times fewer multiply-adds", reference="about 16", got=times, holds=15 < times < 17)
    small = csrnet(4)
    loss = StructuredTransfer(csrnet(1), small, torch.zeros(1, 3, 64, 64), taps=TAPS, loss=F.mse_loss)
    count = sum(p.numel() for p in loss.adapters.parameters())
    own = sum(p.numel() for p in small.parameters())
    widths = [adapter[0].out_channels for adapter in loss.adapters]
    evidence.row(
        f"adapters lift to the teacher's channels; their {count} parameters are none of the student's {own}",
        reference="[64, 64, 128, 256, 512, 256]", got=str(widths),
        holds=widths == [64, 64, 128, 256, 512, 256] and own == totals[1]["params"],
    )  # fmt: skip


def csrnet(divisor: int) -> nn.Sequential:
    """Return CSRNet (Li et al. 2018, arXiv:1802.10062) with all channels divided; maps of 1/8 come out."""
    layers: list[nn.Module] = []
    before = 3
    for dilation, widths in ((1, FRONT), (2, BACK)):
        for width in widths:
            if not width:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                continue
            after = width // divisor
            layers += [nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation), nn.ReLU()]
            before = after
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 1)).eval()


def _maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 5, 8, 8), (2, 3, 4, 4), (2, 4, 4, 4), (2, 1, 4, 4))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _gap(got: Tensor, wanted: Tensor | float) -> float:
    return abs(float(got) / float(wanted) - 1)


def _patterns_by_loop(ours: Tensor, theirs: Tensor) -> float:
    total = 0.0
    for b in range(ours.shape[0]):
        for row in range(ours.shape[2]):
            for column in range(ours.shape[3]):
                s, t = ours[b, :, row, column], theirs[b, :, row, column]
                total += 1 - float(s @ t) / float(s.norm() * t.norm())
    return total


def _relations_by_loop(ours: list[Tensor], theirs: list[Tensor]) -> float:
    total = 0.0
    for i, j in combinations(range(len(ours)), 2):
        grams = []
        for side in (ours, theirs):
            first, second = (
                F.instance_norm(F.max_pool2d(m, m.shape[-1] // 4)).flatten(2) for m in (side[i], side[j])
            )
            grams.append(torch.stack([a @ b.T / 16 for a, b in zip(first, second, strict=True)]))
        total += float((grams[0] - grams[1]).square().sum())
    return total


if __name__ == "__main__":
    sys.exit(main())
