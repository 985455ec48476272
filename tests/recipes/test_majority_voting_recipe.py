from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.cost.budget import Budget
from netsmith.errors import BudgetError, NetsmithError, UnknownNameError
from netsmith.graph.masked import run_masked
from netsmith.recipes import Job, PruningEvents, majority_voting
from netsmith.recipes.pruning_events import event_epochs
from netsmith.scores.majority_voting import MajorityVoting
from netsmith.tasks.task import Task

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(96, 1, 6, 6, generator=GENERATOR)
Y = torch.randint(3, (96,), generator=GENERATOR)
DATA = TensorDataset(X, Y)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 10, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(40, 3),
    )  # fmt: skip


def loss(model: nn.Module) -> torch.Tensor:
    return nn.functional.cross_entropy(model(X), Y)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


def params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_an_event_is_the_masked_network_with_the_moments_of_those_that_stay() -> None:
    model: nn.Module = network()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train(model, optimizer)
    moments = {n: optimizer.state[p]["exp_avg"].clone() for n, p in model.named_parameters()}
    graph = ns.trace(model, X[:1])
    events = PruningEvents(X[:1], loss, fold="none")
    small, same = events.step(model, optimizer, ratio=0.3)
    assert same is optimizer
    removed = events.history[0]["removed"]
    keep = {group.name: torch.ones(group.size, dtype=torch.bool) for group in graph.groups}
    for name, channels in removed.items():
        keep[name][channels] = False
    model.eval()
    torch.testing.assert_close(small.eval()(X), run_masked(model, X, graph, keep), atol=1e-6, rtol=1e-5)
    first, second = keep["0.weight:0"], keep["3.weight:0"]
    kept = [int(first.sum()), int(second.sum())]
    assert kept == [9, 7] == list(events.history[0]["widths"].values())
    assert params(small) == 9 * 10 + 2 * 9 + 7 * (9 * 9 + 1) + (7 * 4 + 1) * 3
    now = {n: optimizer.state[p]["exp_avg"] for n, p in small.named_parameters()}
    assert torch.equal(now["0.weight"], moments["0.weight"][first])
    assert torch.equal(now["3.weight"], moments["3.weight"][second][:, first])
    train(small, optimizer)


def test_the_fewest_votes_go_and_a_dead_channel_first() -> None:
    model = network()
    with torch.no_grad():
        model[1].weight[4], model[1].bias[4] = 0, -1.0
    events = PruningEvents(X[:1], loss, score=MajorityVoting(rule="mean"))
    events.step(model, torch.optim.SGD(model.parameters(), lr=0.1), ratio=0.1)
    scores, removed = events.history[0]["scores"], events.history[0]["removed"]
    assert float(scores["0.weight:0"][4]) == 0.0
    assert removed["0.weight:0"] == [4]
    for name, channels in removed.items():
        stay = [i for i in range(len(scores[name])) if i not in channels]
        assert float(scores[name][channels].max()) <= float(scores[name][stay].min())


def test_the_mean_of_a_channel_that_is_always_on_stays_in_the_next_bias() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].weight[5], model[0].bias[5] = 0.0, 3.0
        score = {"0.weight:0": torch.tensor([1.0, 2, 3, 4, 5, 0])}
    out = {}
    for fold in ("mean", "none"):
        events = PruningEvents(x, lambda m: m(x).sum(), score=lambda *_: score, fold=fold)
        small, _ = events.step(model, torch.optim.SGD(model.parameters(), lr=0.1), ratio=0.17)
        assert events.history[0]["removed"] == {"0.weight:0": [5]}
        out[fold] = small(x).detach()
    torch.testing.assert_close(out["mean"], model(x).detach(), atol=1e-5, rtol=1e-5)
    assert float((out["none"] - out["mean"]).abs().max()) > 0.1


def test_a_width_below_the_least_keeps_its_group_whole() -> None:
    model = network()
    events = PruningEvents(X[:1], loss, min_width=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    events.step(model, optimizer, ratio=0.3)
    widths = events.history[0]["widths"]
    assert widths["0.weight:0"] in range(8, 12)
    assert widths["3.weight:0"] == 10  # three tenths less would have been too narrow


def job(budget: Budget, epochs: int = 10, **options: Any) -> Job:
    fitted: list[tuple[str, int, int]] = []

    def fit(
        model: nn.Module, *, epochs: int, optimizer: torch.optim.Optimizer, stage: str, **rest: Any
    ) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in model.parameters()}
        assert all(0 <= rest["schedule"](progress) <= 1 for progress in (0.0, 0.5, 1.0))
        if epochs:
            train(model, optimizer, 1)
        fitted.append((stage, epochs, params(model)))

    task = Task("toy", DATA, DATA, 3, (1, 6, 6))
    made = Job(
        model=network(),
        inputs=X[:1],
        task=task,
        budget=budget,
        epochs=epochs,
        seed=0,
        fit=fit,
        options=options,
    )
    made.notes["fitted"] = fitted
    return made


@pytest.mark.parametrize(
    "options", [{}, {"rate": 0.2, "every": 1}, {"scope": "global"}, {"fold": "regression"}]
)
def test_it_shrinks_step_by_step_to_its_budget_and_ends_with_the_final_shape(options: dict[str, Any]) -> None:
    work = job(Budget(params=0.3), **options)
    small = majority_voting(work)
    assert params(small) <= 0.3 * params(network())
    stages = work.notes["fitted"]
    sizes = [size for _, _, size in stages]
    assert sum(epochs for _, epochs, _ in stages) == 10
    assert len({stage for stage, _, _ in stages}) == len(stages)
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 3
    assert stages[-1] == ("final shape", 3, params(small))
    assert work.notes["events"][0]["epoch"] == 1
    assert params(small) > 0.2 * params(network())  # a rate does not overshoot


@pytest.mark.parametrize("rule", ["topk", "mean", "copeland", "random"])
def test_rules_are_options(rule: str) -> None:
    work = job(Budget(macs=0.5), epochs=2, rule=rule, per_class=True, standardise=True, samples=48)
    assert params(majority_voting(work)) < params(network())


def test_no_epochs_cut_once() -> None:
    work = job(Budget(params=0.5), epochs=0)
    assert params(majority_voting(work)) <= 0.5 * params(network())
    assert work.notes["fitted"][-1][:2] == ("final shape", 0)


def test_events_end_where_they_should() -> None:
    assert event_epochs(60, 0.0, 2 / 3, 5) == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert event_epochs(0, 0.1, 0.7, 0) == [0]
    assert event_epochs(100, 0.5, 0.5, 0) == [50]


def test_mistakes() -> None:
    with pytest.raises(BudgetError, match="cannot be reached"):
        majority_voting(job(Budget(params="10")))
    with pytest.raises(NetsmithError, match="option rate is 1"):
        majority_voting(job(Budget(params=0.5), rate=1.0))
    with pytest.raises(NetsmithError, match=r"options start=0\.8, stop=0\.7"):
        majority_voting(job(Budget(params=0.5), start=0.8))
    with pytest.raises(NetsmithError, match="option every is -1"):
        majority_voting(job(Budget(params=0.5), every=-1))
    with pytest.raises(UnknownNameError, match="unknown rule for votes"):
        majority_voting(job(Budget(params=0.5), rule="most"))
    with pytest.raises(UnknownNameError, match="unknown fold 'means'"):
        PruningEvents(X, loss, fold="means")
    with pytest.raises(NetsmithError, match="min_width=0"):
        PruningEvents(X, loss, min_width=0)
    model = network()
    with pytest.raises(BudgetError, match=r"ratio=1\.0 must be a share"):
        PruningEvents(X, loss).step(model, torch.optim.SGD(model.parameters(), lr=0.1), ratio=1.0)
