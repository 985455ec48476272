from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.projections import l11_bilevel
from netsmith.recipes.job import Job
from netsmith.recipes.structured_projections import ReaderBalls, structured_projections


class TwoReaders(nn.Module):
    """A hidden layer of six channels that two layers read, one of them after flattening 2 x 2 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.make = nn.Conv2d(1, 6, 3)
        self.again = nn.Conv2d(6, 5, 1)
        self.flat = nn.Linear(24, 4)
        self.head = nn.Linear(20, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.make(x).relu()
        return self.flat(hidden.flatten(1)) + self.head(self.again(hidden).relu().flatten(1))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return TwoReaders()


INPUTS = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def readers(model: TwoReaders) -> torch.Tensor:
    """By hand: what reads each of the six channels, the 1 x 1 kernel and four entries of the linear layer."""
    kernel = model.again.weight.detach()[:, :, 0, 0].T
    linear = model.flat.weight.detach().reshape(4, 6, 4).permute(1, 2, 0).flatten(1)
    return torch.cat([kernel, linear], dim=1)


def test_readers_of_a_channel_are_projected_over_all_layers_at_once(model: TwoReaders) -> None:
    balls = ReaderBalls(model, ns.trace(model, INPUTS), ball="l11", share=0.2)
    before = readers(model)
    balls(model, SimpleNamespace(step=1, epoch=1, progress=1.0))
    expected = l11_bilevel(before, 0.2 * float(before.double().abs().sum()), dim=0)
    torch.testing.assert_close(readers(model), expected, rtol=1e-6, atol=1e-7)
    assert int((readers(model) == 0).all(1).sum()) > 0


def test_radius_falls_from_the_dense_norm(model: TwoReaders) -> None:
    balls = ReaderBalls(model, ns.trace(model, INPUTS), ball="l21", share=0.25)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    balls(model, SimpleNamespace(step=0, epoch=0, progress=0.0))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    dense = readers(model).norm(dim=1).sum()
    balls(model, SimpleNamespace(step=1, epoch=1, progress=0.5))
    torch.testing.assert_close(readers(model).norm(dim=1).sum(), dense / 2)


def test_a_channel_that_nothing_reads_scores_zero(model: TwoReaders) -> None:
    graph = ns.trace(model, INPUTS)
    with torch.no_grad():
        model.again.weight[:, 2] = 0
        model.flat.weight[:, 8:12] = 0
    scores = ReaderBalls(model, graph, ball="l11", share=0.5).scores(model, graph)
    (hidden,) = (score for score in scores.values() if len(score) == 6)
    assert (hidden == 0).nonzero().flatten().tolist() == [2]


def job(model: nn.Module, calls: list[dict[str, Any]], **options: Any) -> Job:
    """A job whose training is a few steps of SGD on fixed targets."""
    target = torch.randn(8, 4, generator=torch.Generator().manual_seed(2))

    def fit(model: nn.Module, *, epochs: int, stage: str, **rest: Any) -> None:
        calls.append({"stage": stage, "epochs": epochs})
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        for epoch in range(1, epochs + 1):
            clock = SimpleNamespace(step=epoch, epoch=epoch, progress=epoch / epochs)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(INPUTS), target).backward()
            optimizer.step()
            for name in ("after_step", "after_epoch"):
                if rest.get(name) is not None:
                    rest[name](model, clock)

    budget = ns.Budget(macs=0.5)
    return Job(
        model=model, inputs=INPUTS, task=None, budget=budget, epochs=10, seed=0, fit=fit, options=options
    )


@pytest.mark.parametrize("masked", [True, False])
def test_meets_the_budget_and_holds_the_zeros(model: nn.Module, masked: bool) -> None:
    calls: list[dict[str, Any]] = []
    dense = ns.trace(model, INPUTS)
    given = job(model, calls, share=0.1, sparse=0.4, masked=masked)
    small = structured_projections(given)
    assert calls == [{"stage": "sparse", "epochs": 4}, {"stage": "finetune", "epochs": 6}]
    small_graph = ns.trace(small, INPUTS)
    macs = [ns.cost.Cost(graph).total()["macs"] for graph in (small_graph, dense)]
    assert macs[0] <= 0.5 * macs[1]
    assert given.notes["structured-projections"]["dead_channels"] > 0
    zeros = int((small.flat.weight == 0).sum())
    assert zeros > 0 if masked else zeros == 0


def test_mistakes(model: nn.Module) -> None:
    with pytest.raises(UnknownNameError, match="unknown ball 'l12'; did you mean"):
        structured_projections(job(model, [], ball="l12"))
    with pytest.raises(NetsmithError, match=r"option share is 0\.0; expected"):
        structured_projections(job(model, [], share=0.0))
    with pytest.raises(NetsmithError, match=r"option sparse is 1\.5; expected"):
        structured_projections(job(model, [], sparse=1.5))
