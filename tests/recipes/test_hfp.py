from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
import torch
from torch import nn

from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost
from netsmith.cost.latency import LatencyTable
from netsmith.errors import BudgetError, NetsmithError
from netsmith.graph import trace
from netsmith.recipes.chunks import chunks_of
from netsmith.recipes.hfp import hfp
from netsmith.recipes.job import Job
from netsmith.recipes.opti_cut import OptiCut
from netsmith.scores.information_gain import InformationGain

INPUTS = torch.zeros(1, 2, 6, 6)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 3),
    )


class Pretended:
    """Operations take time in proportion to their MACs; the whole falls to ``slow`` of where they point."""

    def __init__(self, slow: float = 1.0) -> None:
        self.slow = slow

    def hardware(self) -> dict[str, Any]:
        return {"cpu": "pretended"}

    def operation(self, shape: Any) -> float:
        return float(shape.macs) * 1e-9

    def model(self, network: nn.Module, inputs: Any) -> float:
        return macs(model()) ** (1 - self.slow) * macs(network) ** self.slow * 1e-9


@pytest.fixture
def job(toy_job: Callable[..., Job]) -> Job:
    return toy_job(model(), INPUTS, Budget(macs=0.3))


def macs(network: nn.Module) -> float:
    return Cost(trace(network, INPUTS)).total()["macs"]


def opti_cut(budget: Budget, **options: Any) -> OptiCut:
    return OptiCut(inputs=INPUTS, budget=budget, score=InformationGain(torch.randn(16, 2, 6, 6)), **options)


def test_the_recipe_meets_the_budget_within_its_epochs(job: Job) -> None:
    dense = macs(job.model)
    small = hfp(job)
    assert 0.2 * dense < macs(small) <= 0.3 * dense
    assert small(INPUTS).shape == (1, 3)
    fitted = job.notes["fitted"]
    assert sum(epochs for _, epochs in fitted) == job.epochs
    assert fitted[-1] == ("finetune", 5)
    assert len({stage for stage, _ in fitted}) == len(fitted)
    costs = [step["cost"]["macs"] for step in job.notes["steps"]]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) == chunks_of(0.2)


def test_chunks_shrink_towards_the_budget() -> None:
    cut = opti_cut(Budget(macs=0.3), chunk=0.4)
    dense = macs(model())
    cut(model())
    targets = [step["target"]["macs"] / dense for step in cut.steps]
    expected = [0.3 + 0.7 * 0.6**number for number in range(1, chunks_of(0.4))]
    assert targets == pytest.approx([*expected, 0.3])
    assert chunks_of(0.4) == 6


def test_scores_are_computed_anew_on_each_smaller_network() -> None:
    sizes: list[int] = []

    def score(network: nn.Module, loss: Any, graph: Any) -> dict[str, torch.Tensor]:
        sizes.append(sum(group.size for group in graph.groups))
        return {group.name: torch.arange(group.size).float() for group in graph.groups}

    tuned: list[int] = []
    OptiCut(
        inputs=INPUTS,
        budget=Budget(macs=0.3),
        score=score,
        chunk=0.5,
        tune=lambda network, number, chunks: tuned.append(number),
    )(model())
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) == chunks_of(0.5) == 5
    assert tuned == [1, 2, 3, 4]


def test_a_latency_that_was_predicted_too_low_is_tightened() -> None:
    runner = Pretended(slow=0.9)
    limit = 0.4 * runner.model(model(), INPUTS)
    cut = opti_cut(Budget(latency=0.4), chunk=0.5, latency=LatencyTable(runner, cache=False))
    small = cut(model())
    checks = [step for step in cut.steps if "measured" in step]
    assert checks[0]["predicted"] <= limit < checks[0]["measured"] / 1.02
    assert len(checks) > 1
    assert checks[-1]["measured"] == runner.model(small, INPUTS) <= 1.02 * limit


def test_a_latency_that_holds_is_left_alone() -> None:
    cut = opti_cut(Budget(latency=0.4, macs=0.9), chunk=0.5, latency=LatencyTable(Pretended(), cache=False))
    small = cut(model())
    assert [step["step"] for step in cut.steps if "measured" in step] == ["check 1"]
    assert macs(small) <= 0.4 * macs(model())


def test_score_per_cost_prefers_what_saves_most() -> None:
    def even(network: nn.Module, loss: Any, graph: Any) -> dict[str, torch.Tensor]:
        return {group.name: torch.linspace(1, 1.1, group.size) for group in graph.groups}

    cut = OptiCut(inputs=INPUTS, budget=Budget(params=0.6), score=even, chunk=1.0, per_cost=True)
    widths = {group.name: group.size for group in trace(cut(model()), INPUTS).groups}
    assert widths["0.weight:0"] < 16
    assert widths["2.weight:0"] == 24


def test_widths_follow_the_multiple_in_every_chunk() -> None:
    small = opti_cut(Budget(macs=0.5), chunk=0.5, round_to=4)(model())
    assert all(group.size % 4 == 0 for group in trace(small, INPUTS).groups)


class Blocks(Pretended):
    """Kernels that work on blocks of 8 channels, and take twice as long off the blocks."""

    def operation(self, shape: Any) -> float:
        return 1e-6 * ceil(shape.c_in / 8) * ceil(shape.c_out / 8) * (1 + (shape.c_in % 8 > 0))

    def model(self, network: nn.Module, inputs: Any) -> float:
        return 1e-6


@pytest.mark.parametrize("round_to", [1, "auto"])
def test_a_latency_budget_takes_widths_the_machine_likes(round_to: Any) -> None:
    table = LatencyTable(Blocks(), cache=False)
    small = opti_cut(Budget(latency=0.8), chunk=0.5, round_to=round_to, latency=table)(model())
    assert [group.size for group in trace(small, INPUTS).groups] in ([8, 24], [16, 16])


def test_multiples_that_leave_the_budget_out_of_reach_are_halved() -> None:
    table = LatencyTable(Blocks(), cache=False)
    small = opti_cut(Budget(latency=0.9, macs=0.06), chunk=0.5, latency=table)(model())
    assert all(group.size % 4 == 0 and group.size < 8 for group in trace(small, INPUTS).groups)


def test_a_budget_that_holds_changes_nothing() -> None:
    said: list[str] = []
    dense = model()
    assert opti_cut(Budget(macs="1G"), log=said.append)(dense) is dense
    assert said[0] == "the budget already holds; nothing to remove"


def test_mistakes(job: Job) -> None:
    job.options = {"chunk": 0.0}
    with pytest.raises(BudgetError, match=r"chunk=0\.0 must be a share"):
        hfp(job)
    job.options = {"finetune": 1.5}
    with pytest.raises(BudgetError, match=r"finetune=1\.5 must be a share"):
        hfp(job)
    job.options = {"method": "magic"}
    with pytest.raises(NetsmithError, match="unknown method 'magic'"):
        hfp(job)
    job.options = {"chunks": 0.1}
    with pytest.raises(NetsmithError, match="did you mean chunk"):
        hfp(job)
    job.options = {}
    job.budget = Budget(macs="0.5k")
    with pytest.raises(BudgetError, match="cannot be reached"):
        hfp(job)
    assert job.notes["fitted"] == []
