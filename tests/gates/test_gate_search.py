from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.errors import NetsmithError, ScoreWarning
from netsmith.gates import GateSearch
from netsmith.train import fit

X = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
HIDDEN = 10
LIVE = 4


def planted() -> nn.Sequential:
    """Ten hidden channels of which the reader ignores six."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 3))
    with torch.no_grad():
        net[0].weight.mul_(2)
        net[2].weight.mul_(5)
        net[2].weight[:, LIVE:] = 0
    return net


def search_on(model: nn.Module, **options: float) -> GateSearch:
    return GateSearch(model, ns.trace(model, X), **{"strength": 1e-3, "head": False, **options})


def learn(search: GateSearch, targets: Tensor, steps: int = 100) -> None:
    task = F.mse_loss if targets.is_floating_point() else F.cross_entropy
    optimizer = search.optimizer(learning_rate=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        (task(search.gated(X), targets) + search.penalty()).backward()
        optimizer.step()
        search.anneal((step + 1) / steps)


def test_keeps_what_is_needed_and_drops_the_rest():
    model = planted()
    targets = model(X).detach()
    before = copy.deepcopy(model.state_dict())
    search = search_on(model)
    learn(search, targets)
    assert search.undecided() == 0
    keep = search.decide()
    assert keep["0.weight:0"].tolist() == [True] * LIVE + [False] * (HIDDEN - LIVE)
    small = search.extract(keep)
    assert type(small) is nn.Sequential
    assert small[0].weight.shape == (LIVE, 6)
    torch.testing.assert_close(small(X), model(X), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [record["kind"] for record in ns.records(small)] == ["remove"]


def test_the_extracted_model_is_the_gated_one_and_learns_on():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    targets = X[:, :3].argmax(1)
    search = GateSearch(model, ns.trace(model, X), strength=0.05)
    before = copy.deepcopy(model.state_dict())
    learn(search, targets)
    keep = search.decide()
    assert 0 < int(keep["0.weight:0"].sum()) < 8
    small = search.extract(keep)
    search.harden(keep)
    search.gated.eval(), small.eval()
    with torch.no_grad():
        torch.testing.assert_close(small(X), search.gated(X), atol=1e-5, rtol=1e-5)
        assert not torch.equal(search.gated.network[3].weight, model[3].weight)  # the head learnt along
    frozen = {name: value for name, value in search.gated.network.named_parameters() if name[0] != "3"}
    assert all(torch.equal(value, before[name]) for name, value in frozen.items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in small.parameters())


def test_a_new_slope_forgets_the_momentum():
    search = search_on(planted())
    optimizer = search.optimizer()
    search.penalty().backward()
    optimizer.step()
    search.anneal(0.05)
    assert len(optimizer.state) == 1
    search.anneal(0.1)
    assert len(optimizer.state) == 0


def test_scores_rank_ungated_groups_first():
    model = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    search = search_on(model)
    with torch.no_grad():
        search.gate.logits.copy_(torch.tensor([0.3, -0.2, 0.1, 0.4, 0.0]))
    scores = search.scores()
    assert scores["2.weight:0"].tolist() == search.gate.logits.tolist()
    assert scores["0.weight:0"].tolist() == pytest.approx([0.4] * 6)
    small = ns.shrink(model, X, budget=ns.Budget(params=0.75), score=scores)
    assert small[2].weight.shape == (int(small[4].weight.shape[1]), 6)


def test_undecided_gates_and_emptied_groups_are_told():
    search = search_on(planted())
    with (
        pytest.warns(ScoreWarning, match="10 of 10 gates are undecided"),
        pytest.warns(ScoreWarning, match=r"all 10 gates of group 0\.weight:0 closed; one stays"),
    ):
        keep = search.decide()
    assert int(keep["0.weight:0"].sum()) == 1
    with torch.no_grad():
        search.gate.logits.fill_(-1.0)
        search.gate.logits[7] = -0.9
    search.anneal(1.0)
    with pytest.warns(ScoreWarning, match="one stays"):
        assert search.decide()["0.weight:0"].nonzero().tolist() == [[7]]


def test_resumes_bit_for_bit(tmp_path: Path):
    data = TensorDataset(X, X[:, :3].argmax(1))

    def run(out: Path, stop_after: int | None = None) -> GateSearch:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        search = GateSearch(model, ns.trace(model, X), strength=0.02)

        def interrupted(model: nn.Module, clock: ns.train.Clock) -> None:
            if stop_after is not None and clock.epoch == stop_after:
                raise KeyboardInterrupt

        fit(
            search.gated, data, epochs=6, batch_size=64, optimizer=search.optimizer(), schedule="constant",
            penalty=search.penalty, after_step=search.after_step, after_epoch=interrupted, out=out,
            resume=True, progress=False,
        )  # fmt: skip
        return search

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_after=4)
    parts = run(tmp_path / "parts")
    assert torch.equal(whole.gate.logits, parts.gate.logits)
    assert torch.equal(whole.gate.delta, parts.gate.delta)
    assert float(whole.gate.delta) == pytest.approx(1e4)


@pytest.mark.parametrize("keep", [0.5, 1.0, 0.1])
def test_keep_lies_between_undecided_and_open(keep):
    with pytest.raises(NetsmithError, match="must be a gate between"):
        search_on(planted(), keep=keep)


def test_mistakes():
    with pytest.raises(NetsmithError, match=r"strength is -0\.1; expected a finite number >= 0"):
        search_on(planted(), strength=-0.1)
    with pytest.raises(NetsmithError, match="must grow from a positive number"):
        search_on(planted(), delta=(1.0, 0.5))
