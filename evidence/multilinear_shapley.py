"""Shapley values by multilinear sampling: what is exact, what is biased and by how much, what varies least.

Games of 10 players with all 1,024 worths known, an MLP on the digits with 16 patches as players, and, in the
full tier, channels as players.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

import netsmith as ns
from common import Evidence
from netsmith import scores, tasks, zoo
from netsmith.analysis import (
    diagonal_slopes,
    enumerate_coalitions,
    exact_shapley,
    feature_shapley,
    quadrature,
    shapley,
)
from netsmith.train import fit

PLAYERS = 10
REPETITIONS = 100
DRAWS = 100
"""Permutations, and coalitions, of one estimate: the same evaluations."""
Game = Callable[[Tensor], Tensor]


def main() -> int:
    with Evidence("multilinear-shapley") as evidence:
        generator = torch.Generator().manual_seed(evidence.seed)
        exactness(evidence, generator)
        bias(evidence, generator)
        games = ten_players(generator)
        unbiased(evidence, games["tanh"])
        axioms(evidence, games)
        variance(evidence, games)
        digits(evidence)
        if evidence.full:
            channels(evidence)
    return evidence.status


def rule(table: Tensor, levels: str, count: int) -> float:
    """Return the largest error of a rule for q with enumerated slopes."""
    q, weights = quadrature(levels, count)  # type: ignore[arg-type]
    found = sum(w * diagonal_slopes(table, float(one)) for one, w in zip(q, weights, strict=True))
    return float((found - exact_shapley(table)).abs().max())


def exactness(evidence: Evidence, generator: torch.Generator) -> None:
    enough, short = 0.0, math.inf
    for players in range(4, 11):
        for _ in range(5):
            table = torch.randn(2**players, generator=generator, dtype=torch.float64)
            enough = max(enough, rule(table, "gauss", math.ceil(players / 2)))
            short = min(short, rule(table, "gauss", math.ceil(players / 2) - 1))
    claim = "5 random games each of 4 to 10 players, enumerated slopes: "
    evidence.row(
        claim + "largest error of ceil(n/2) Gauss nodes",
        reference="<= 1e-12 (1e-16)",
        got=enough,
        holds=enough <= 1e-12,
    )
    evidence.row(
        claim + "least error of one node less", reference="not exact", got=short, holds=short > 1e-12
    )


def bias(evidence: Evidence, generator: torch.Generator) -> None:
    table = torch.randn(2**PLAYERS, generator=generator, dtype=torch.float64)
    for levels, steps, order in (("grid", (1, 2, 4, 10, 100), 1), ("trapezoid", (2, 4, 10, 100), 2)):
        errors = [rule(table, levels, step + 1) for step in steps]
        listed = ", ".join(f"{error:.2g}" for error in errors)
        evidence.row(
            f"random game of 10, {levels}: largest error at Q = {', '.join(map(str, steps))}",
            reference="0.859, 0.490, 0.249, 0.093, 0.0087" if order == 1 else "0.306, 0.096, 0.017, 1.7e-4",
            got=listed,
            holds=None,
        )
        far = [rule(table, levels, step + 1) for step in (100, 1000)]
        slope = math.log10(far[1] / far[0])
        evidence.row(
            f"{levels}: slope of the error from Q = 100 to 1,000",
            reference=f"-{order}",
            got=slope,
            holds=abs(slope + order) < 0.05,
        )


def ten_players(generator: torch.Generator) -> dict[str, Game]:
    weights, votes = torch.randn(PLAYERS, generator=generator), torch.rand(PLAYERS, generator=generator)
    pairs = torch.randn(PLAYERS, PLAYERS, generator=generator).double()
    table = torch.randn(2**PLAYERS, generator=generator).double()
    place = 2 ** torch.arange(PLAYERS - 1, -1, -1)
    weights, votes = weights.double(), votes.double()
    return {
        "tanh": lambda s: torch.tanh(s.double() @ weights),
        "quadratic": lambda s: ((s.double() @ pairs) * s.double()).sum(1),
        "random table": lambda s: table[(s * place).sum(1)],
        "weighted majority": lambda s: (s.double() @ votes > votes.sum() / 2).double(),
    }


def exact(game: Game) -> Tensor:
    return exact_shapley(game(enumerate_coalitions(PLAYERS)))


def unbiased(evidence: Evidence, game: Game) -> None:
    truth, generator = exact(game), torch.Generator().manual_seed(1)
    for method in ("owen", "owen_antithetic"):
        runs = [
            shapley(game, PLAYERS, method=method, budget=20 * 11, generator=generator) for _ in range(400)
        ]
        found = torch.stack([run.values for run in runs])
        off = float(((found.mean(0) - truth).abs() / (found.std(0) / 20)).max())
        evidence.row(
            f"stratified {method}: largest distance of the mean of 400 runs from the truth, standard errors",
            reference="<= 4",
            got=off,
            holds=off <= 4,
        )
        stated = torch.stack([run.errors for run in runs]).square().mean(0).sqrt()
        ratio = stated / found.std(0)
        evidence.row(
            f"stratified {method}: stated error over the one seen, least and largest of 10 players",
            reference="near 1",
            got=f"{float(ratio.min()):.2f}, {float(ratio.max()):.2f}",
            holds=float(ratio.min()) >= 0.8 and float(ratio.max()) <= 1.25,
        )


def axioms(evidence: Evidence, games: dict[str, Game]) -> None:
    def with_a_dummy(s: Tensor) -> Tensor:
        alike = s[:, :2].sum(1)
        return torch.tanh(0.5 * alike + s[:, 2:9].double().sum(1) - 3)

    for method in ("owen", "owen_antithetic", "permutation"):
        values, errors = shapley(with_a_dummy, PLAYERS, method=method, budget=DRAWS * 11)
        evidence.row(
            f"{method}: value of a dummy player", reference="0", got=float(values[9]), holds=values[9] == 0
        )
        apart = abs(float(values[0] - values[1])) / max(float(errors[0] + errors[1]), 1e-300)
        evidence.row(
            f"{method}: two symmetric players apart, in their standard errors",
            reference="<= 4",
            got=apart,
            holds=apart <= 4,
        )
        game = games["tanh"]
        values, errors = shapley(game, PLAYERS, method=method, budget=DRAWS * 11)
        ends = game(torch.tensor([[True] * PLAYERS, [False] * PLAYERS]))
        missing = abs(float(values.sum() - ends[0] + ends[1]))
        slack = 1e-12 if method == "permutation" else 4 * float(errors.sum())
        evidence.row(
            f"{method}: sum of the values off v(all) - v(none)",
            reference=f"<= {slack:.2g}",
            got=missing,
            holds=missing <= slack,
        )
    weights = torch.randn(PLAYERS, generator=torch.Generator().manual_seed(2)).double()
    one = shapley(lambda s: s.double() @ weights, PLAYERS, method="owen", budget=11).values
    error = float((one - weights).abs().max())
    evidence.row("linear game: error after one coalition", reference="0", got=error, holds=error < 1e-12)


REFERENCES = {
    "tanh": "0.083, 0.083, 0.068, 0.038",
    "quadratic": "0.150, 0.155, 0.132, 5e-16",
    "random table": "0.118, 0.118, 0.118, 0.110",
    "weighted majority": "0.0293, 0.0303, 0.0292, 0.0395",
}


def rmse(game: Game, method: str, levels: str = "stratified") -> float:
    truth, generator = exact(game), torch.Generator().manual_seed(3)
    runs = [
        shapley(game, PLAYERS, method=method, levels=levels, budget=DRAWS * 11, generator=generator).values  # type: ignore[arg-type]
        for _ in range(REPETITIONS)
    ]
    return float((torch.stack(runs) - truth).square().mean().sqrt())


def variance(evidence: Evidence, games: dict[str, Game]) -> None:
    for name, game in games.items():
        errors = [
            rmse(game, "permutation"),
            rmse(game, "owen", "uniform"),
            rmse(game, "owen"),
            rmse(game, "owen_antithetic"),
        ]
        evidence.row(
            f"{name} game, RMSE of permutation, uniform, stratified, antithetic at 1,100 evaluations",
            reference=REFERENCES[name],
            got=", ".join(f"{error:.2g}" for error in errors),
            holds=None,
        )
        if name == "quadratic":
            evidence.row(
                "quadratic game: antithetic RMSE", reference="0", got=errors[3], holds=errors[3] < 1e-12
            )
        if name == "weighted majority":
            evidence.row(
                "weighted majority game: antithetic over permutation",
                reference="above 1: where complements hurt",
                got=errors[3] / errors[0],
                holds=errors[3] > errors[0],
            )
    ratios, sums = [], []
    for seed in range(10):
        weights = torch.randn(PLAYERS, generator=torch.Generator().manual_seed(seed)).double()

        def game(s: Tensor, weights: Tensor = weights) -> Tensor:
            return torch.tanh(s.double() @ weights)

        sums.append(abs(float(weights.sum())))
        ratios.append(rmse(game, "owen_antithetic") / rmse(game, "permutation"))
    evidence.row(
        f"10 tanh games of random weights, antithetic over permutation: mean (from {min(ratios):.2f} to "
        f"{max(ratios):.2f})",
        reference="<= 0.55",
        got=sum(ratios) / 10,
        holds=sum(ratios) / 10 <= 0.55,
    )
    by_sum = [ratio for _, ratio in sorted(zip(sums, ratios, strict=True))]
    evidence.row(
        "the same: mean of the 5 games whose weights cancel most, and of the 5 whose weights add up most",
        reference="games that are odd about half of the players are where complements hurt",
        got=f"{sum(by_sum[:5]) / 5:.2f}, {sum(by_sum[5:]) / 5:.2f}",
        holds=None,
    )


def digits(evidence: Evidence) -> None:
    """Explain an MLP on 8 x 8 digits by its 16 patches of 2 x 2."""
    task = tasks.load("digits")
    model = zoo.build("lenet-300-100", classes=10, input_shape=task.input_shape)
    fit(model, task.train, epochs=10, seed=evidence.seed, progress=False)
    x, y = task.test.tensors
    patches = torch.arange(16).reshape(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    background = task.train.tensors[0].mean(0)
    errors: dict[str, list[Tensor]] = {"permutation": [], "owen": [], "owen_antithetic": []}
    for number in range(5):
        options = {"players": patches, "target": int(y[number]), "output": "probability"}
        truth = feature_shapley(
            model, x[number], background, method="exact", batch_size=8192, **options
        ).values
        for method, found in errors.items():
            for seed in range(20):
                generator = torch.Generator().manual_seed(seed)
                estimate = feature_shapley(
                    model,
                    x[number],
                    background,
                    method=method,
                    budget=50 * 17,
                    generator=generator,
                    **options,
                )
                found.append((estimate.values - truth).square().mean())
    rmse = {method: float(torch.stack(found).mean().sqrt()) for method, found in errors.items()}
    evidence.row(
        "MLP on the digits, 16 patches, 5 images, 850 evaluations, 20 runs: RMSE of permutation, stratified",
        reference="reported",
        got=f"{rmse['permutation']:.4f}, {rmse['owen']:.4f}",
        holds=None,
    )
    evidence.row(
        "the same, antithetic",
        reference=f"<= permutation, {rmse['permutation']:.4f}",
        got=rmse["owen_antithetic"],
        holds=rmse["owen_antithetic"] <= rmse["permutation"],
    )


def channels(evidence: Evidence) -> None:
    """Cut hidden layers of an MLP on the digits without retraining, by Shapley values and by other scores."""
    task = tasks.load("digits")
    x, y = (tensor[:256] for tensor in task.train.tensors)
    found: dict[str, list[float]] = {}
    for seed in range(3):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 10)
        )
        fit(model, task.train, epochs=20, seed=seed, progress=False)

        def loss(network: nn.Module) -> Tensor:
            return task.loss(network(x), y)

        for name, score in (
            ("shapley", scores.Shapley(coalitions=8, seed=seed)),
            ("taylor", scores.taylor),
            ("magnitude", scores.magnitude),
            ("random", scores.Random(torch.Generator().manual_seed(seed))),
        ):
            small = ns.shrink(model, x[:8], ratio=0.5, score=score, loss=loss, scope="local")
            found.setdefault(name, []).append(100 * task.evaluate(small))
    means = {name: sum(values) / 3 for name, values in found.items()}
    evidence.row(
        "MLP on the digits, both hidden layers cut in half at once, no retraining, 3 seeds: accuracy",
        reference="reported",
        got=", ".join(f"{name} {mean:.1f}" for name, mean in means.items()),
        holds=None,
    )
    best = max(mean for name, mean in means.items() if name != "shapley")
    evidence.row(
        "accuracy by Shapley values above the best of Taylor, magnitude and random, points",
        reference="> 0",
        got=means["shapley"] - best,
        holds=means["shapley"] > best,
    )


if __name__ == "__main__":
    sys.exit(main())
