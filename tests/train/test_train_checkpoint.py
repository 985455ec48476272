"""A checkpoint is replaced whole or not at all, and reading one runs nothing."""

from __future__ import annotations

import errno
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import train_workload as work
from torch import nn

from netsmith.clock import Clock
from netsmith.errors import FileError, TrainingError
from netsmith.training.checkpoint import NAME, read_checkpoint, require_plain, write_checkpoint

STATE = {"settings": {}, "weights": torch.arange(5.0), "pair": (1, None, "x", [True, 2.5])}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the operating system refuse to write beyond ``size`` bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_round_trip(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "deep" / NAME, STATE)
    again = read_checkpoint(tmp_path / "deep" / NAME)
    assert torch.equal(again.pop("weights"), STATE["weights"])
    assert again == {k: v for k, v in STATE.items() if k != "weights"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [NAME]


def test_a_refused_write_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_checkpoint(path, STATE)
    before = path.read_bytes()
    with (
        files_up_to(20_000),
        pytest.raises(FileError, match=r"cannot write .*: File too large; nothing was written"),
    ):
        write_checkpoint(path, STATE | {"weights": torch.zeros(100_000)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_disk_that_fills_up_while_training_keeps_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = torch.save, []

    def full(state: dict, file) -> None:
        if len(saved) == 3:
            file.write(b"half a")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(state["step"])
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FileError, match="No space left on device") as caught:
        work.run_digest(out=tmp_path)
    monkeypatch.setattr(torch, "save", save)
    assert "\n" not in str(caught.value)
    assert saved == [0, work.STEPS, 2 * work.STEPS]
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    assert work.run_digest(out=tmp_path, resume=True) == work.run_digest()


def test_a_folder_that_cannot_be_made_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    steps: list[int] = []

    def hook(model: nn.Module, clock: Clock) -> None:
        steps.append(clock.step)

    with pytest.raises(FileError, match=r"cannot make the folder .*: Not a directory"):
        work.run(out=tmp_path / "file" / "run", after_step=hook)
    assert not steps


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, keep: int) -> None:
    work.run(out=tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileError, match=r"cannot read the checkpoint .*; delete it to start over") as caught:
        work.run(out=tmp_path, resume=True)
    assert "\n" not in str(caught.value)


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


@pytest.mark.parametrize(
    "dump", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state, protocol=2))]
)
def test_a_checkpoint_cannot_run_code(tmp_path: Path, dump) -> None:
    dump({"settings": {}, "model": Bomb()}, tmp_path / NAME)
    with pytest.raises(FileError, match="cannot read the checkpoint"):
        read_checkpoint(tmp_path / NAME)
    assert not Bomb.exploded


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / NAME)
    with pytest.raises(FileError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / NAME)


def test_a_state_that_could_not_be_read_back_is_refused_when_written(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"checkpoint\['hooks'\]\['penalty'\]\[1\] holds a Bomb"):
        require_plain({"hooks": {"penalty": [1.0, Bomb()]}})

    class Hook(work.Averager):
        def state_dict(self) -> dict:
            return {"bomb": Bomb()}

    with pytest.raises(TrainingError, match=r"\['after_step'\]\['bomb'\] holds a Bomb"):
        work.run(out=tmp_path, after_step=Hook())
    assert not list(tmp_path.iterdir())
