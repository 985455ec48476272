from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import BudgetError, NetsmithError, UnknownNameError
from netsmith.recipes import Job, accelerated_imp
from netsmith.train import fit


def job(budget: ns.Budget, epochs: int = 12, **options: Any) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 3))
    x = torch.randn(96, 6)
    data = torch.utils.data.TensorDataset(x, x[:, :3].argmax(1))
    stages: list[tuple[str, int, float]] = []

    def bound_fit(model: nn.Module, *, epochs: int, schedule: Any, stage: str, **settings: Any) -> object:
        stages.append((stage, epochs, schedule(0.5)))
        return fit(model, data, batch_size=32, progress=False, epochs=epochs, schedule=schedule, **settings)

    return Job(
        model=model, inputs=x[:1], task=None, budget=budget, epochs=epochs, seed=0, fit=bound_fit,
        options=options, notes={"stages": stages},
    )  # fmt: skip


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_parameters_that_are_not_zero_meet_the_budget_in_rounds(scope: str) -> None:
    given = job(ns.Budget(params=0.5), scope=scope)
    model = accelerated_imp(given)
    nonzero = sum(int((parameter != 0).sum()) for parameter in model.parameters())
    assert 0.5 * 243 - 7 <= nonzero <= 0.5 * 243  # some biases may stay at zero
    # 180 weights in steps of a fifth to 58: six rounds, whose short ones are a third of the last.
    epochs = [epochs for _, epochs, _ in given.notes["stages"]]
    assert epochs == [1, 1, 1, 1, 1, 7]
    notes = given.notes["accelerated-imp"]
    assert notes["nonzero_parameters"] == nonzero
    assert [entry["epochs"] for entry in notes["rounds"]] == epochs
    if scope == "global":
        assert [entry["survivors"] for entry in notes["rounds"]] == [144, 116, 93, 75, 60, 58]


@pytest.mark.parametrize(("epochs", "rounds"), [(1, [1]), (2, [1, 1]), (5, [1, 1, 3])])
def test_few_epochs_make_larger_cuts(epochs: int, rounds: list[int]) -> None:
    given = job(ns.Budget(params=0.5), epochs=epochs, scope="layer")
    accelerated_imp(given)
    assert [epochs for _, epochs, _ in given.notes["stages"]] == rounds
    survivors = [entry["survivors"] for entry in given.notes["accelerated-imp"]["rounds"]]
    assert survivors == sorted(survivors, reverse=True)
    assert survivors[-1] == 57


def test_rounds_can_fine_tune() -> None:
    given = job(ns.Budget(params=0.5), rewind="fine-tuning", scope="layer")
    accelerated_imp(given)
    assert {factor for _, _, factor in given.notes["stages"]} == {0.01}


def test_kinds_that_zeros_cannot_serve_are_refused(tmp_path: Path) -> None:
    message = r"'accelerated-imp' cannot serve a budget in macs; it serves params \(those that are not"
    with pytest.raises(BudgetError, match=message):
        accelerated_imp(job(ns.Budget(macs=0.5, params=0.5)))
    with pytest.raises(BudgetError, match=message):
        ns.compress("small-cnn", "digits", method="accelerated-imp", budget="macs=0.5", out=tmp_path / "out")
    assert not list(tmp_path.rglob("checkpoint.pt"))
    with pytest.raises(BudgetError, match="63 of 243 parameters are biases and norms"):
        accelerated_imp(job(ns.Budget(params=0.2)))
    with pytest.raises(BudgetError, match="nothing to prune: the budget keeps every weight"):
        accelerated_imp(job(ns.Budget(params="1k")))


def test_options_out_of_range() -> None:
    with pytest.raises(UnknownNameError, match="unknown rewind 'weights'"):
        accelerated_imp(job(ns.Budget(params=0.5), rewind="weights"))
    with pytest.raises(NetsmithError, match="option short is 0"):
        accelerated_imp(job(ns.Budget(params=0.5), short=0.0))
    with pytest.raises(NetsmithError, match=r"rate is 1\.0"):
        accelerated_imp(job(ns.Budget(params=0.5), rate=1.0))


def test_stopped_between_rounds_and_resumed_ends_in_the_same_bits(tmp_path: Path) -> None:
    def run(folder: Path, *, stop: str = "") -> dict[str, torch.Tensor]:
        given = job(ns.Budget(params=0.5), epochs=5)
        plain = given.fit

        def kept(model: nn.Module, *, stage: str, **settings: Any) -> object:
            if stage == stop:
                raise KeyboardInterrupt
            return plain(model, stage=stage, out=folder / stage, resume=True, **settings)

        given.fit = kept
        return accelerated_imp(given).state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop="round3")
    again = run(tmp_path / "parts")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_compress_compares_what_is_not_zero_with_the_budget() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    task = ns.tasks.load("digits", train_size=100, test_size=50)
    result = ns.compress(model, task, method="accelerated-imp", budget="params=0.3", epochs=2, progress=False)
    assert result.details["notes"]["accelerated-imp"]["nonzero_parameters"] <= 0.3 * 610
    assert not any("params" in warning for warning in result.details["warnings"])
