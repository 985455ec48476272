from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netsmith.cutting.annealing import anneal
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.scores import LinearDependency

X = torch.randn(200, 5, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    """Four units of the first layer, and three of the second, are there several times."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))
    with torch.no_grad():
        for layer, rank in ((model[0], 4), (model[2], 3)):
            for unit in range(rank, layer.out_features):
                layer.weight[unit] = layer.weight[unit % rank] * (1 + unit)
                layer.bias[unit] = layer.bias[unit % rank] * (1 + unit)
    return model


def closeness_to(model: nn.Module) -> Callable[[nn.Module], float]:
    expected: Tensor = model(X).detach()
    return lambda tried: -float((tried(X) - expected).detach().abs().max())


def run(model: nn.Module, **options: Any) -> tuple[nn.Module, list[dict[str, Any]]]:
    given = {"evaluate": closeness_to(model), "tolerance": 1e-2, "score": LinearDependency()} | options
    return anneal(model, X, loss=lambda m: m(X).sum(), **given)


@pytest.mark.parametrize("order", ["round-robin", "forward", "reverse", "random"])
def test_what_is_there_several_times_goes_and_the_rest_stays(order: str) -> None:
    model = network()
    found = copy.deepcopy(model.state_dict())
    small, steps = run(model, order=order, generator=torch.Generator().manual_seed(0))
    assert [tuple(small[layer].weight.shape) for layer in (0, 2, 4)] == [(4, 5), (3, 4), (3, 3)]
    assert closeness_to(model)(small) >= -1e-2
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    groups = [step["group"] for step in steps]
    if order == "forward":
        assert groups == sorted(groups)
    if order == "reverse":
        assert groups == sorted(groups, reverse=True)
    if order == "round-robin":
        assert groups[:4] == [*groups[:2], *groups[:2]]
    refused = [step for step in steps if not step["accepted"]]
    assert len(refused) == 2  # one of each group, and it is left
    assert min(step["predicted"] for step in refused) > max(
        step["predicted"] for step in steps if step["accepted"]
    )
    assert all(step["removed"] == -(-step["size"] // 10) for step in steps)


def test_a_step_that_retraining_saves_is_kept_and_one_it_does_not_is_taken_back() -> None:
    model, calls = network(), []

    def retrain(tried: nn.Module, reached: Callable[[], bool]) -> None:
        calls.append(tried)
        assert not reached()
        if len(calls) == 1:
            tried.good = True

    def evaluate(tried: nn.Module) -> float:
        small = tried[0].out_features < 12
        return 1.0 if not small or (getattr(tried, "good", False) and tried[0].out_features == 10) else 0.0

    small, steps = run(model, evaluate=evaluate, retrain=retrain, tolerance=0.5, order="forward", rate=0.15)
    assert [(step["cut"], step["metric"], step["accepted"]) for step in steps][:2] == [
        (0.0, 1.0, True), (0.0, 0.0, False),
    ]  # fmt: skip
    assert small[0].out_features == 10
    assert steps[2]["group"] != steps[1]["group"]


def test_nothing_accepted_gives_back_an_equal_copy() -> None:
    model, seen = network(), []
    small, steps = run(
        model, evaluate=lambda tried: float(tried[0].out_features + tried[2].out_features), tolerance=0.5,
        on_step=seen.append,
    )  # fmt: skip
    assert [step["accepted"] for step in steps] == [False, False]
    assert seen == steps
    assert small is not model
    assert torch.equal(small(X), model(X))


def test_one_channel_always_stays() -> None:
    small, _ = run(network(), evaluate=lambda tried: 0.0, rate=0.9)
    assert [small[layer].out_features for layer in (0, 2)] == [1, 1]


def test_groups_that_cannot_be_folded_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    small, _ = run(model, evaluate=lambda tried: 0.0, rate=0.5)
    assert [small[layer].out_features for layer in (0, 2)] == [6, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.0}, "rate is 1"),
        ({"tolerance": -1.0}, "tolerance is -1"),
        ({"evaluate": lambda tried: float("nan")}, "the metric of the model as given is nan"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetsmithError, match=message):
        run(network(), **options)
    with pytest.raises(UnknownNameError, match="unknown order 'global'"):
        run(network(), order="global")
