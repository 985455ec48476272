"""Configurations: plain objects that modules hold, share and point at one another through."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netsmith.errors import FileError
from netsmith.files import load, save
from netsmith.files.archive import read_archive, write_archive
from netsmith.plain_objects import is_plain


@dataclasses.dataclass
class Settings:
    width: int
    names: dict[int, str]
    more: Any = None

    def __post_init__(self) -> None:
        raise_if_run.append(self)


raise_if_run: list[Any] = []


class Called:
    def __call__(self) -> None: ...


class Deleted:
    def __del__(self) -> None: ...


class Slots:
    __slots__ = ("a",)


class Reduced:
    def __reduce__(self) -> Any:
        return (int, (1,))


class Net(nn.Module):
    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.first = nn.Linear(settings.width, 2)
        self.first.settings = settings


def settings() -> Settings:
    inner = Settings(3, {}, torch.ones(2))
    inner.more = [inner, torch.ones(2)]
    return Settings(4, {0: "a"}, inner)


def test_shared_and_circular_objects_come_back_as_such(tmp_path: Path) -> None:
    path = save(Net(settings()), tmp_path / "a.nsm")
    made = len(raise_if_run)
    back = load(path)
    assert len(raise_if_run) == made  # no constructor ran
    assert type(back.settings) is Settings
    assert back.settings is back.first.settings
    assert (back.settings.width, back.settings.names) == (4, {0: "a"})
    assert back.settings.more.more[0] is back.settings.more
    assert torch.equal(back.settings.more.more[1], torch.ones(2))


def test_objects_of_an_instance_are_filled(tmp_path: Path) -> None:
    path = save(Net(settings()), tmp_path / "a.nsm")
    other = Net(Settings(4, {}))
    assert load(path, into=other).settings.names == {0: "a"}


@pytest.mark.parametrize("kind", [Called, Deleted, Slots, Reduced, dict, nn.Linear, type])
def test_objects_that_are_more_than_their_attributes(kind: type) -> None:
    assert not is_plain(kind)


def test_an_object_with_something_in_it_that_cannot_be_stored_is_refused_by_name(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    model.worker = threading.Thread()
    with pytest.raises(FileError, match="worker"):
        save(model, tmp_path / "a.nsm")


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["objects"][0].update({"class": "threading:Thread"}),
        lambda a: a["objects"][0].update({"class": "builtins:dict"}),
        lambda a: a["objects"][0].update({"class": f"{__name__}:Called"}),
        lambda a: a["objects"][0].update({"class": f"{__name__}:Deleted"}),
        lambda a: a["objects"][0].update({"class": "torch.nn:Linear"}),
        lambda a: a["objects"].clear(),
        lambda a: a["objects"][0].update(attributes=[["width", {"object": 99}]]),
    ],
)
def test_forged_objects_are_refused(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = save(Net(settings()), tmp_path / "a.nsm")
    members = read_archive(path)
    architecture = json.loads(members["architecture.json"])
    change(architecture)
    write_archive(path, {**members, "architecture.json": json.dumps(architecture).encode()})
    with pytest.raises(FileError, match=r"^.+$"):
        load(path)
