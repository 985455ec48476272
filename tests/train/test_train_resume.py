"""A run that was stopped and resumed ends in the same bits as one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import train_workload as work
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from netsmith.clock import Clock
from netsmith.errors import FileError, TrainingError
from netsmith.training.checkpoint import NAME, read_checkpoint


@pytest.fixture(autouse=True)
def one_thread():
    found = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(found)


class StopAt(work.Averager):
    def __init__(self, step: int, how: int | None = None) -> None:
        super().__init__()
        self.step, self.how = step, how

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        super().__call__(model, clock)
        if clock.step == self.step:
            if self.how is None:
                raise KeyboardInterrupt
            os.kill(os.getpid(), self.how)


def scramble_random_states() -> None:
    torch.manual_seed(random.randrange(2**31))
    random.seed(1)
    np.random.seed(2)


@pytest.mark.parametrize("step", [1, 12, 15, 24], ids=["first epoch", "epoch end", "mid-epoch", "last step"])
def test_resume_in_process_is_bit_exact(tmp_path: Path, step: int) -> None:
    expected = work.run_digest()
    with pytest.raises(KeyboardInterrupt):
        work.run_digest(out=tmp_path, after_step=StopAt(step))
    scramble_random_states()
    assert work.run_digest(out=tmp_path, resume=True, model=work.make_model(seed=9)) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(tmp_path: Path, number: int) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        hook = StopAt(14, number)
        with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name):
            work.run_digest(out=tmp_path, after_step=hook)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, handler)
    assert read_checkpoint(tmp_path / NAME)["step"] == 2 * work.STEPS
    assert work.run_digest(out=tmp_path, resume=True) == work.run_digest()


def test_a_signal_in_the_last_evaluation_still_stops_the_caller(tmp_path: Path) -> None:
    def evaluate(model: nn.Module) -> float:
        if read_checkpoint(tmp_path / NAME)["step"] == 3 * work.STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.0

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        work.run(out=tmp_path, evaluate=evaluate)
    assert len(work.run(out=tmp_path, resume=True, evaluate=evaluate)[1].epochs) == work.EPOCHS


def test_sigint_to_a_process_then_resume_in_a_fresh_one(tmp_path: Path) -> None:
    script = [sys.executable, "-W", "error", str(Path(work.__file__)), str(tmp_path)]
    child = subprocess.Popen(
        [*script, "start", "15"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate("go on\n")
    assert (child.returncode, output) == (130, "training stopped by SIGINT\n")
    again = subprocess.run([*script, "resume"], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == work.run_digest()


def test_a_complete_run_resumes_to_its_end(tmp_path: Path) -> None:
    expected = work.run_digest(out=tmp_path)
    steps: list[int] = []
    model = work.make_model(seed=4)
    _, history = work.run(
        out=tmp_path, resume=True, model=model, after_step=lambda model, clock: steps.append(clock.step)
    )
    assert not steps
    assert len(history.epochs) == work.EPOCHS
    assert work.run_digest(out=tmp_path, resume=True) == expected


def test_resume_without_a_checkpoint_starts(tmp_path: Path) -> None:
    assert work.run_digest(out=tmp_path / "new" / "folder", resume=True) == work.run_digest()


class Squares(Dataset):
    """A map-style data set that draws its noise from the global random state."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 6, 6), index / 100) + 0.1 * torch.randn(1, 6, 6), int(index > 50)


def loader() -> DataLoader:
    return DataLoader(Squares(), 16, shuffle=True, drop_last=True, generator=torch.Generator())


@pytest.mark.parametrize("data", [Squares, loader, lambda: Subset(work.make_data(150), range(20, 120))])
def test_resume_is_bit_exact_for_every_kind_of_data(tmp_path: Path, data) -> None:
    expected = work.run_digest(data=data())
    with pytest.raises(KeyboardInterrupt):
        work.run_digest(data=data(), out=tmp_path, after_step=StopAt(20))
    scramble_random_states()
    assert work.run_digest(data=data(), out=tmp_path, resume=True) == expected


def test_a_run_does_not_touch_nor_see_the_callers_random_states() -> None:
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    first = work.run_digest()
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
    assert work.run_digest() == first
    assert work.run_digest(seed=4) != first


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, "other settings: seed was 3 and is now 4"),
        ({"epochs": 5}, "other settings: epochs was 4 and is now 5"),
        ({"learning_rate": 0.5}, r"learning rates was \[0.01\] and is now \[0.5\]"),
        ({"schedule": None}, "schedule was cosine and is now constant"),
        ({"model": nn.Linear(3, 2)}, r"other tensors: 0.bias was \(4,\) and is now absent"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, changed: dict, message: str) -> None:
    work.run(out=tmp_path)
    with pytest.raises(FileError, match=message):
        work.run(**({"out": tmp_path, "resume": True} | changed))


def test_a_checkpoint_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    work.run(out=tmp_path)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(FileError, match="is there already; resume=True"):
        work.run(out=tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_resume_needs_a_folder() -> None:
    with pytest.raises(TrainingError, match="needs out"):
        work.run(resume=True)
