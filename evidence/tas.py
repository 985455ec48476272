"""Transformable architecture search: its parts against slow twins, and what it finds on the digits.

The quick tier checks interpolation, expected cost and sampling; the full tier searches and trains.
"""

from __future__ import annotations

import sys
from itertools import product
from statistics import mean

import torch
from scipy.stats import chisquare
from torch import nn

import netsmith as ns
from _tas_digits import planted, searches
from common import Evidence
from netsmith.searches import ExpectedCost, Sizes, TransformableSearch, cost_loss, interpolate_channels
from netsmith.searches.sampling import draw

PAIRS = [(before, after) for before in range(1, 21) for after in range(1, 21)]


def main() -> int:
    with Evidence("tas") as evidence:
        torch.manual_seed(evidence.seed)
        interpolation(evidence)
        expected_cost(evidence)
        built_networks(evidence, 200 if evidence.full else 3)
        branches(evidence)
        sampling(evidence, 20_000 if evidence.full else 2000)
        if evidence.full:
            searches(evidence)
            planted(evidence)
    return evidence.status


def interpolation(evidence: Evidence) -> None:
    """Compare with a loop over channels for all pairs of widths."""
    gap = identity = kept = superposed = 0.0
    for before, after in PAIRS:
        x, y = torch.randn(2, 2, before, 3, 3)
        made = interpolate_channels(x, after)
        for target in range(after):
            bins = x[:, target * before // after : -((-(target + 1) * before) // after)]
            gap = max(gap, float((made[:, target] - bins.mean(dim=1)).abs().max()))
        if before == after:
            identity = max(identity, float((made - x).abs().max()))
        if before % after == 0:
            kept = max(kept, float((made.mean(1) - x.mean(1)).abs().max()))
        both = 2 * made - 3 * interpolate_channels(y, after)
        superposed = max(superposed, float((interpolate_channels(2 * x - 3 * y, after) - both).abs().max()))
    for claim, got, limit in (
        ("interpolation of 1..20 to 1..20 channels, largest gap to a loop over channels", gap, 1e-6),
        ("interpolation to the same width, largest change", identity, 0.0),
        ("change of the mean over channels where the new width divides the old", kept, 1e-6),
        ("interpolation of 2x - 3y, largest gap to 2 of x minus 3 of y", superposed, 1e-5),
    ):
        evidence.row(claim, reference=f"<= {limit:g}", got=got, holds=got <= limit)


def expected_cost(evidence: Evidence) -> None:
    """Compare with the sum over all 8^3 networks of three layers."""
    layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 20, 3), nn.ReLU(), nn.Conv2d(20, 24, 3)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 10))
    graph = ns.trace(net, torch.zeros(1, 1, 8, 8))
    widths = {g.name: tuple(int(g.size * r / 10 + 1e-9) for r in range(3, 11)) for g in graph.groups}
    cost = ExpectedCost(graph, Sizes(widths), ["macs"])
    chances = [torch.randn(8, dtype=torch.float64).softmax(0) for _ in widths]
    total = 0.0
    for places in product(range(8), repeat=3):
        chance = float(torch.stack([p[i] for p, i in zip(chances, places, strict=True)]).prod())
        total += chance * cost.of(places)["macs"]
    gap = abs(float(cost(chances)["macs"]) / total - 1)
    evidence.row(
        "expected MACs of three layers, relative gap to the sum over 8^3 networks",
        reference="<= 1e-6",
        got=gap,
        holds=gap <= 1e-6,
    )


def built_networks(evidence: Evidence, count: int) -> None:
    """Build random architectures of a residual network, widths and depths, and count them anew."""
    net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 8, 8), width=0.5)
    x = torch.randn(1, 3, 8, 8)
    search = TransformableSearch(net, x, budget=ns.Budget(macs=0.5))
    exact, gap = 0, 0.0
    for _ in range(count):
        with torch.no_grad():
            for logits in search.structure():
                logits.normal_()
            architecture = search.architecture(within_budget=False)
            small = search.build(architecture).eval()
            exact += ns.profile(small, x, energy=False).total["macs"] == architecture.cost["macs"]
            want = small(x)
            gap = max(gap, float((search.eval()(x) - want).abs().max() / want.abs().max()))
    claim = f"of {count} random widths and depths of ResNet-20, built networks with the MACs expected"
    evidence.row(claim, reference=count, got=exact, holds=exact == count)
    evidence.row(
        "the same networks' outputs, largest relative gap to the search settled on them",
        reference="<= 1e-4",
        got=gap,
        holds=gap <= 1e-4,
    )


def branches(evidence: Evidence) -> None:
    """Compare the gradient of the cost's loss with difference quotients, down to the logits."""
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    graph = ns.trace(net, torch.zeros(1, 6))
    sizes = Sizes({group.name: (3, 5, group.size) for group in graph.groups})
    cost = ExpectedCost(graph, sizes, ["macs"])
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    for name, actual in (("above", 110.0), ("within", 98.0), ("below", 80.0)):

        def loss(given: torch.Tensor, actual: float = actual) -> torch.Tensor:
            return cost_loss(cost([*given.softmax(-1)])["macs"], actual, 100.0)

        (gradient,) = torch.autograd.grad(loss(logits), logits)
        gap = 0.0
        for place in product(range(2), range(3)):
            step = torch.zeros(2, 3, dtype=torch.float64)
            step[place] = 1e-6
            quotient = float((loss(logits + step) - loss(logits - step)).detach()) / 2e-6
            gap = max(gap, abs(quotient - float(gradient[place])))
        evidence.row(
            f"gradient of the cost's loss {name} the budget, largest gap to difference quotients",
            reference="<= 1e-8",
            got=gap,
            holds=gap <= 1e-8,
        )


def sampling(evidence: Evidence, draws: int) -> None:
    """Count what is drawn, at the first, the last and a lower temperature."""
    logits = torch.tensor([0.3, -0.5, 0.8, 0.0, 1.0, -1.0, 0.2, 0.5])
    differ = True
    for temperature in (0.01, 0.1, 5.0):
        counts = torch.zeros(8, dtype=torch.float64)
        for _ in range(draws):
            chosen, _ = draw(logits, temperature, 2)
            differ &= bool(chosen[0] != chosen[1])
            counts[chosen[0]] += 1
        chance = float(chisquare(counts.numpy(), (draws * logits.double().softmax(0)).numpy()).pvalue)
        evidence.row(
            f"first of two widths at temperature {temperature:g} against softmax(logits), p of {draws} draws",
            reference="> 1e-3",
            got=chance,
            holds=chance > 1e-3,
        )
    evidence.row("the two are always different", reference=True, got=differ, holds=differ)
    x, gaps = torch.randn(4, 10, 2, 2), []
    for _ in range(200):
        chosen, weights = draw(torch.eye(8)[4] * 50, 1e-3, 2)
        parts = [x[:, : int(place) + 3] for place in chosen]
        widest = max(part.shape[1] for part in parts)
        made = [interpolate_channels(part, widest) for part in parts]
        mixed = weights[0] * made[0] + weights[1] * made[1]
        gaps.append(float((mixed - interpolate_channels(x[:, :7], widest)).abs().max()))
    evidence.row(
        "temperature 0.001, a certain choice: mean gap of the mixed output to that width's",
        reference="<= 1e-6",
        got=mean(gaps),
        holds=mean(gaps) <= 1e-6,
    )


if __name__ == "__main__":
    sys.exit(main())
