from __future__ import annotations

import sys
import types

import pytest
from torch import nn

from netsmith.files.classes import ClassFinder, class_name


class Outer:
    class Inner(nn.Module):
        pass


def test_loaded_classes_are_found_by_name_also_nested() -> None:
    assert class_name(nn.Conv2d) == "torch.nn.modules.conv:Conv2d"
    assert ClassFinder().find(class_name(nn.Conv2d), nn.Module) is nn.Conv2d
    assert ClassFinder().find(class_name(Outer.Inner), nn.Module) is Outer.Inner
    assert ClassFinder().find(class_name(Outer), nn.Module) is None


@pytest.mark.parametrize("name", ["", ":", "Linear", "torch.nn:", "torch.nn.modules.linear:Linear.forward"])
def test_other_names_find_nothing(name: str) -> None:
    assert ClassFinder().find(name, nn.Module) is None


def test_a_lazy_module_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> object:
            asked.append(name)
            return super().__getattribute__(name)

    lazy = Lazy("lazy")
    lazy.__dict__["__getattr__"] = asked.append
    lazy.__dict__["Net"] = Outer.Inner
    asked.clear()
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    assert ClassFinder().find("lazy:Net", nn.Module) is Outer.Inner
    assert ClassFinder().find("lazy:Missing", nn.Module) is None
    assert asked == []


def test_given_classes_come_first_and_a_bare_name_will_do() -> None:
    mine = type("Linear", (nn.Module,), {"__module__": "mine"})
    name = class_name(nn.Linear)
    assert ClassFinder({name: mine}).find(name, nn.Module) is mine
    assert ClassFinder([mine]).find("elsewhere:Linear", nn.Module) is mine
    assert ClassFinder([mine]).find(name, nn.Module) is nn.Linear
    assert ClassFinder([mine, nn.Linear]).find("elsewhere:Linear", nn.Module) is None
    assert ClassFinder([int]).find("builtins:int", nn.Module) is None
