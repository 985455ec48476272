from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import netsmith.tasks
from netsmith.errors import UnknownNameError

MODULES = [
    "netsmith.tasks",
    *(f"netsmith.tasks.{found.name}" for found in pkgutil.iter_modules(netsmith.tasks.__path__)),
]


def test_names() -> None:
    images = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar10-jpeg")
    assert netsmith.tasks.names() == (*images, "ptb", "cora", "mutag", "proteins")


def test_every_name_has_its_file() -> None:
    for name in netsmith.tasks.names():
        assert callable(importlib.import_module(f"netsmith.tasks.{name.replace('-', '_')}").load)


def test_unknown_name_carries_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'fashion-mist'; did you mean fashion-mnist"):
        netsmith.tasks.load("fashion-mist")


def test_unknown_option_carries_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match="option of data set 'digits' 'trainsize'; did you mean train_size"
    ):
        netsmith.tasks.load("digits", trainsize=5)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    heavy = (
        "{'sklearn', 'scipy', 'pooch', 'requests', 'PIL', 'torchmetrics', 'safetensors', 'torch_geometric'}"
    )
    ours = "netsmith.tasks.mnist, netsmith.tasks.proteins, netsmith.tasks.ptb, netsmith.zoo"
    code = f"import sys, {ours}; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
