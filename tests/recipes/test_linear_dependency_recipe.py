from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.cost.budget import Budget
from netsmith.cutting.compensated import cut_and_compensate
from netsmith.errors import BudgetError, NetsmithError
from netsmith.recipes.job import Job
from netsmith.recipes.linear_dependency import linear_dependency
from netsmith.scores.linear_dependency import LinearDependency

INPUTS = torch.zeros(1, 2, 6, 6)


def model() -> nn.Sequential:
    """Every channel of the first layer is there twice, and of the second, too."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    with torch.no_grad():
        for layer in (net[0], net[2]):
            half = len(layer.weight) // 2
            layer.weight[half:], layer.bias[half:] = 2 * layer.weight[:half], 2 * layer.bias[:half]
    return net


@pytest.fixture
def job(toy_job: Callable[..., Job]) -> Job:
    return toy_job(model(), INPUTS, Budget(params=0.4))


def params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_half_of_a_network_that_is_there_twice_goes_without_loss(job: Job) -> None:
    dense, x = model(), torch.randn(9, 2, 6, 6)
    small = linear_dependency(job)
    assert params(small) <= 0.4 * params(dense)
    torch.testing.assert_close(small(x), dense(x), atol=1e-3, rtol=1e-3)
    plain = ns.shrink(model(), INPUTS, budget=Budget(params=0.4))
    assert float((plain(x) - dense(x)).detach().abs().max()) > 0.05
    fitted = job.notes["fitted"]
    assert sum(epochs for _, epochs in fitted) == job.epochs
    assert fitted[-1] == ("finetune", 5)
    assert len({stage for stage, _ in fitted}) == len(fitted)
    assert all(step["not_compensated"] == {} for step in job.notes["steps"])


def test_what_cannot_be_folded_is_cut_all_the_same_and_named() -> None:
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 6), nn.Linear(6, 2)),
        torch.randn(50, 4),
    )
    small, step = cut_and_compensate(
        net, x, Budget(params=0.4), LinearDependency(), lambda m: m(x).square().mean()
    )
    assert params(small) <= 0.4 * params(net)
    assert list(step["not_compensated"]) == ["0.weight:0"]


def test_mistakes(job: Job) -> None:
    job.options = {"chunk": 0.0}
    with pytest.raises(BudgetError, match=r"chunk=0\.0 must be a share"):
        linear_dependency(job)
    job.options = {"finetune": 1.5}
    with pytest.raises(BudgetError, match=r"finetune=1\.5 must be a share"):
        linear_dependency(job)
    job.options = {"ridge": -1.0}
    with pytest.raises(NetsmithError, match=r"ridge=-1\.0 must be above 0"):
        linear_dependency(job)
    job.options = {}
    job.budget = Budget(params="10")
    with pytest.raises(BudgetError, match="cannot be reached"):
        linear_dependency(job)
    assert job.notes["fitted"] == []
