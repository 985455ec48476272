"""What a run does, reports and refuses."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import pytest
import torch
import train_workload as work
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from netsmith.clock import Clock
from netsmith.contracts import Clock as ClockContract
from netsmith.errors import TrainingError, UnknownNameError
from netsmith.train import default_optimizer, fit
from netsmith.training.schedules import cosine


def linear(weight: float = 0.0) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


def line(samples: int = 8) -> TensorDataset:
    x = torch.linspace(-1, 1, samples).unsqueeze(1)
    return TensorDataset(x, 2 * x)


def squared(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr)


QUIET = {"device": "cpu", "progress": False}


def test_a_step_is_the_textbook_one() -> None:
    model, by_hand = linear(0.5), 0.5
    fit(model, line(), loss=squared, optimizer=sgd(model), epochs=3, batch_size=8, schedule=None, **QUIET)
    second_moment = float(line().tensors[0].square().mean())
    for _ in range(3):
        by_hand -= 0.1 * 2 * second_moment * (by_hand - 2)
    assert model.weight.item() == pytest.approx(by_hand, rel=1e-6)


def test_it_learns_the_digits() -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1400], order[1400:]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    history = fit(
        model,
        TensorDataset(x[train], y[train]),
        epochs=12,
        batch_size=32,
        learning_rate=1e-2,
        evaluate=lambda m: float((m(x[test]).argmax(1) == y[test]).float().mean()),
        **QUIET,
    )
    assert history.epochs[-1]["metric"] > 0.95
    assert history.epochs[-1]["loss"] < 0.1 < history.epochs[0]["loss"]


def test_loss_and_penalty_are_reported_apart_and_minimised_together() -> None:
    model = linear(1.0)
    history = fit(
        model,
        line(),
        loss=lambda m, batch: 0 * m(batch[0]).sum() + 3.0,
        penalty=lambda m: 0.5 * m.weight.square().sum(),
        optimizer=sgd(model),
        epochs=1,
        batch_size=4,
        schedule="constant",
        **QUIET,
    )
    (epoch,) = history.epochs
    assert epoch["loss"] == 3.0
    assert epoch["penalty"] == pytest.approx((0.5 + 0.5 * 0.9**2) / 2)
    assert model.weight.item() == pytest.approx(0.9**2)


def test_hooks_see_the_clock_and_the_evaluation_sees_their_work() -> None:
    seen: list[tuple[str, int, int, float]] = []

    def note(name: str):
        def hook(model: nn.Module, clock: ClockContract) -> None:
            seen.append((name, clock.step, clock.epoch, clock.progress))
            if name == "epoch":
                nn.init.constant_(model.weight, 7.0)

        return hook

    def measure(model: nn.Module) -> float:
        assert not model.training
        assert not torch.is_grad_enabled()
        return model.weight.item()

    history = fit(
        linear(),
        line(),
        loss=squared,
        epochs=2,
        batch_size=4,
        after_step=note("step"),
        after_epoch=note("epoch"),
        evaluate=measure,
        watch=lambda m: {"macs": 0.25},
        **QUIET,
    )
    assert seen == [
        ("step", 1, 0, 0.25),
        ("step", 2, 1, 0.5),
        ("epoch", 2, 1, 0.5),
        ("step", 3, 1, 0.75),
        ("step", 4, 2, 1.0),
        ("epoch", 4, 2, 1.0),
    ]
    assert [(e["epoch"], e["metric"], e["macs"]) for e in history.epochs] == [(1, 7.0, 0.25), (2, 7.0, 0.25)]
    assert json.loads(json.dumps(asdict(history))) == asdict(history)


def test_the_schedule_is_applied_per_step_and_the_optimiser_keeps_its_rates() -> None:
    model, rates = linear(), []
    optimizer = sgd(model, lr=0.3)
    settings = {"loss": squared, "optimizer": optimizer, "epochs": 5, "batch_size": 4, "learning_rate": 0.2}

    def note(model: nn.Module, clock: Clock) -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    history = fit(model, line(), after_step=note, **settings, **QUIET)
    assert rates == [0.2 * cosine(step / 10) for step in range(10)]
    assert [e["learning_rate"] for e in history.epochs] == rates[1::2]
    assert optimizer.param_groups[0]["lr"] == 0.3
    rates.clear()
    fit(model, line(), after_step=note, schedule=lambda p: 1 + p, **settings, **QUIET)
    assert rates == pytest.approx([0.2 * (1 + step / 10) for step in range(10)])


def test_the_model_is_given_back_as_found() -> None:
    model = work.make_model()
    model[1].eval()
    attributes = {name: set(vars(m)) for name, m in model.named_modules()}
    work.run(model=model, precision="bf16")
    assert {name: set(vars(m)) for name, m in model.named_modules()} == attributes
    assert [m.training for m in model] == [True, False, True, True, True, True]
    assert all(p.is_contiguous() and p.grad is None and p.dtype is torch.float32 for p in model.parameters())


def test_convolutions_train_in_channels_last() -> None:
    formats = []

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        tensors = (batch[0], model[0].weight)
        formats.append(all(t.is_contiguous(memory_format=torch.channels_last) for t in tensors))
        return work.noisy_loss(model, batch)

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    x = torch.randn(16, 3, 6, 6)
    fit(
        model, TensorDataset(x, torch.zeros(16, dtype=torch.long)), loss=loss, epochs=1, batch_size=8, **QUIET
    )
    assert formats == [True, True]
    assert model[0].weight.is_contiguous()


def test_precision_can_change_from_call_to_call() -> None:
    seen = []

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        output = model(batch[0])
        seen.append(output.dtype)
        return output.float().square().mean()

    for precision in ("no", "bf16", "no"):
        fit(linear(), line(), loss=loss, epochs=1, precision=precision, **QUIET)
    assert seen == [torch.float32, torch.bfloat16, torch.float32]


@pytest.mark.parametrize("cause", ["loss", "penalty", "weights", "hook"])
def test_not_finite_stops_and_gives_the_last_good_weights_back(tmp_path, cause: str) -> None:
    model, good = work.make_model(), {}
    steps = 0

    def late(value: torch.Tensor, wanted: str) -> torch.Tensor:
        return value * float("nan") if cause == wanted and steps == 2 * work.STEPS + 3 else value

    def hook(model: nn.Module, clock: Clock) -> None:
        nonlocal steps
        steps = clock.step
        if clock.step == 2 * work.STEPS + 3 and cause in ("weights", "hook"):
            with torch.no_grad():
                model[0].weight[0] = float("inf")
            if cause == "hook":
                raise ValueError("cannot project infinity")

    def keep(model: nn.Module, clock: Clock) -> None:
        if clock.epoch == 2:
            good.update({k: v.clone() for k, v in model.state_dict().items()})

    messages = {
        "loss": "the loss became nan at step 4",
        "penalty": "the penalty became nan at step 4",
        "weights": "the loss became nan at step 4|0.weight came to hold",
        "hook": "0.weight came to hold NaN or infinity, and then: cannot project infinity",
    }
    with pytest.raises(TrainingError, match=messages[cause]) as caught:
        work.run(
            model=model,
            out=tmp_path,
            loss=lambda m, batch: late(work.noisy_loss(m, batch), "loss"),
            penalty=lambda m: late(work.penalty(m), "penalty"),
            after_step=hook,
            after_epoch=keep,
        )
    message = str(caught.value)
    assert message.startswith("training stopped in epoch 3 of 4 (6 steps each): ")
    assert "weights of 2 epochs again; try a lower learning_rate (now 0.01)" in message
    assert "\n" not in message
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2 * work.STEPS
    for name, value in model.state_dict().items():
        assert torch.equal(value, good[name])
        assert torch.equal(state["model"][name], good[name])


def test_an_error_of_the_callers_own_passes_unchanged() -> None:
    def loss(model: nn.Module, batch: object) -> torch.Tensor:
        raise ValueError("my own")

    with pytest.raises(ValueError, match=r"^my own$"):
        fit(linear(), line(), loss=loss, epochs=1, **QUIET)


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


class Boastful(DataLoader):
    def __len__(self) -> int:
        return 5


NO_WEIGHTS = linear(float("nan"))
FROZEN = linear().requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "data", "settings", "message"),
    [
        (linear(), line(), {"epochs": -1}, "epochs=-1"),
        (linear(), line(), {"seed": -1}, "seed=-1"),
        (linear(), line(), {"batch_size": 0}, "positive batch_size, got 8 and 0"),
        (linear(), TensorDataset(torch.zeros(0, 1)), {}, "got 0 and 128"),
        (linear(), Endless(), {}, "Endless has no length"),
        (linear(), Boastful(line(), 4), {"loss": squared}, "said 5 batches and gave 2"),
        (linear(), TensorDataset(torch.zeros(4, 1)), {}, r"wants \(inputs, targets\) batches, got a tuple"),
        (NO_WEIGHTS, line(), {}, "weight holds NaN or infinity before training"),
        (FROZEN, line(), {}, "no parameter of Linear wants a gradient"),
        (linear(), line(), {"optimizer": sgd(linear())}, "SGD given holds no parameter of the model"),
        (linear(), line(), {"precision": "fp16"}, "fp16.* needs a GPU"),
        (linear(), line(), {"precision": "fp17"}, "unknown precision 'fp17'; did you mean fp16"),
        (linear(), line(), {"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean cosine"),
        (linear(), line(), {"device": "gpu"}, "unknown device 'gpu'"),
        (linear(), line(), {"device": "mps"}, "'mps' is not available here, but"),
    ],
)
def test_mistakes_get_one_clear_line(model, data, settings: dict, message: str) -> None:
    with pytest.raises((TrainingError, UnknownNameError), match=message) as caught:
        fit(model, data, **({"epochs": 1} | QUIET | settings))
    assert "\n" not in str(caught.value)


def test_no_epochs_change_nothing() -> None:
    model = linear(0.5)
    assert fit(model, line(), loss=squared, epochs=0, **QUIET).epochs == []
    assert model.weight.item() == 0.5


def test_the_default_optimiser_follows_batch_norm() -> None:
    sgd = default_optimizer(work.make_model())
    assert isinstance(sgd, torch.optim.SGD)
    assert {k: sgd.defaults[k] for k in ("lr", "momentum", "nesterov", "weight_decay")} == {
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
    }
    assert isinstance(default_optimizer(linear()), torch.optim.AdamW)


def test_lines_on_a_stream_one_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"evaluate": lambda m: 0.98125, "watch": lambda m: {"macs": 0.3}}
    fit(linear(), line(), loss=squared, epochs=2, batch_size=4, device="cpu", **shown)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("epoch 1/2  loss ")
    assert "  metric 0.9812  macs 0.3  " in first
    assert "learning_rate" not in first
    assert second.endswith("0:00:00 left")


def test_a_live_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    fit(linear(), line(), loss=squared, epochs=2, batch_size=4, watch=lambda m: {"macs": 0.3}, device="cpu")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 2/2" in captured.err
    assert "macs 0.3" in captured.err
    assert "left" not in captured.err
