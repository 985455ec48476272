from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netsmith.errors import FileError
from netsmith.files import load, load_program, save
from netsmith.files.archive import read_archive, write_archive


class Lambda(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.line = nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.Linear(64 * 36, 10)
        self.act = lambda x: x.relu()

    def forward(self, x: Tensor) -> Tensor:
        return self.line(self.act(self.norm(self.conv(x))).flatten(1))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return Lambda()


@pytest.fixture(scope="module")
def saved(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("program") / "a.nsm", inputs=torch.randn(1, 1, 8, 8))


def test_the_program_runs_without_the_class(model: nn.Module, saved: Path) -> None:
    assert model.training
    program, x = load_program(saved).module(), torch.randn(7, 1, 8, 8)
    assert torch.equal(program(x), model.eval()(x))
    assert torch.equal(program(x[:1]), model(x[:1]))
    model.train()


def test_the_weights_are_stored_once_and_nothing_is_pickled(model: nn.Module, saved: Path) -> None:
    assert saved.stat().st_size < 1.1 * sum(p.numel() * 4 for p in model.parameters())
    members = read_archive(saved)
    assert members["program/data/sample_inputs/model.pt"] == b""
    # Protocol 2, torch.save's, starts so; a program also names no file of the machine it was made on.
    assert not [name for name, data in members.items() if b"\x80\x02" in data and name.startswith("program/")]
    assert not [name for name, data in members.items() if str(Path(__file__).parent).encode() in data]


def test_load_says_what_the_file_does_not_hold(saved: Path) -> None:
    with pytest.raises(FileError, match=r"attribute 'act' of the model itself is .*lambda.*load_program"):
        load(saved)


def test_an_instance_can_be_filled(model: nn.Module, saved: Path) -> None:
    back, x = load(saved, into=Lambda()), torch.randn(2, 1, 8, 8)
    assert back.training
    assert torch.equal(back.eval()(x), model.eval()(x))
    model.train()


def test_a_program_with_a_pickle_is_refused(saved: Path, tmp_path: Path) -> None:
    members, path = read_archive(saved), tmp_path / "a.nsm"
    write_archive(path, members | {"program/data/sample_inputs/model.pt": b"\x80\x02."})
    with pytest.raises(FileError, match=r"sample_inputs/model.pt, which is unpickled"):
        load_program(path)
    config = json.loads(members["program/data/weights/model_weights_config.json"])
    next(iter(config["config"].values()))["use_pickle"] = True
    name = "program/data/weights/model_weights_config.json"
    write_archive(path, members | {name: json.dumps(config).encode()})
    with pytest.raises(FileError, match=r"pickles a tensor"):
        load_program(path)
    index = json.loads(members["program.json"]) | {"data/constants/custom_obj_0": None}
    forged = {"program.json": json.dumps(index).encode(), "program/data/constants/custom_obj_0": b"\x80\x02."}
    write_archive(path, members | forged)
    with pytest.raises(FileError, match=r"custom_obj_0, which is unpickled"):
        load_program(path)


def test_a_program_with_a_missing_part_is_an_error(saved: Path, tmp_path: Path) -> None:
    members = read_archive(saved)
    del members["program/models/model.json"]
    write_archive(tmp_path / "a.nsm", members)
    with pytest.raises(FileError, match=r"does not hold what netsmith.save writes"):
        load_program(tmp_path / "a.nsm")


def test_no_program_says_how_to_add_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"carries no exported program; save the model with inputs="):
        load_program(save(nn.Linear(1, 1), tmp_path / "a.nsm"))


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


def test_a_model_torch_cannot_export_is_saved_without_a_program(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"no exported program: torch.export cannot express Branch: .*data-dependent"
    ):
        path = save(Branch(), tmp_path / "a.nsm", inputs=torch.randn(3))
    assert isinstance(load(path), Branch)
    model = Branch()
    model.helper = lambda: None  # type: ignore[assignment]
    with pytest.raises(FileError, match=r"attribute 'helper'.*, and torch.export cannot express Branch"):
        save(model, tmp_path / "b.nsm", inputs=torch.randn(3))
    assert not (tmp_path / "b.nsm").exists()
