"""What differs in structure between two models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from netsmith.wrappers import network

BASE = frozenset(vars(nn.Module()))
PLAIN = (int, float, bool, str, type(None))


@dataclass(frozen=True)
class ModuleDifference:
    """What differs in one module: its class, the shapes of its own tensors, its plain attributes.

    Each is (before, after); None stands for what is not there. Attributes are compared within one class.
    """

    path: str
    classes: tuple[str | None, str | None]
    shapes: dict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]] = field(default_factory=dict)
    attributes: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return (module, what, before, after), one row for each thing that differs."""
        rows: list[tuple[str, tuple[Any, Any]]] = []
        if self.classes[0] != self.classes[1]:
            rows.append(("class", self.classes))
        rows += list(self.shapes.items()) + list(self.attributes.items())
        name = self.path or "(the model)"
        return [(name, what, _text(before), _text(after)) for what, (before, after) in rows]


@dataclass(frozen=True)
class Difference:
    """What differs in structure between two models; ``print`` shows it as a table, false if nothing does."""

    modules: tuple[ModuleDifference, ...]
    parameters: tuple[int, int]
    """Scalars in parameters, before and after."""

    def __bool__(self) -> bool:
        return bool(self.modules)

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        return {"modules": [asdict(module) for module in self.modules], "parameters": self.parameters}

    def __str__(self) -> str:
        before, after = self.parameters
        summary = f"parameters {before:,} -> {after:,}"
        if not self.modules:
            return f"no difference in structure, {summary}"
        rows = [("module", "what", "before", "after"), *(row for one in self.modules for row in one.rows())]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), summary])


def diff(a: nn.Module, b: nn.Module) -> Difference:
    """Return what differs in structure between two models: modules, classes, shapes, attributes; not values.

    Args:
        a: the model before.
        b: the model after.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> print(ns.diff(net, ns.shrink(net, torch.zeros(1, 8), ratio=0.5)))
        module  what          before  after
        0       weight        (6, 8)  (3, 8)
        0       bias          (6,)    (3,)
        0       out_features  6       3
        2       weight        (4, 6)  (4, 3)
        2       in_features   6       3
        parameters 82 -> 43
    """
    a, b = network(a), network(b)
    before, after = dict(a.named_modules()), dict(b.named_modules())
    found = [_compare(path, before.get(path), after.get(path)) for path in before | after]
    return Difference(tuple(one for one in found if one.rows()), (_parameters(a), _parameters(b)))


def _compare(path: str, before: nn.Module | None, after: nn.Module | None) -> ModuleDifference:
    def differing(left: dict[str, Any], right: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        pairs = {name: (left.get(name), right.get(name)) for name in left | right}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    classes = (_class(before), _class(after))
    attributes = differing(_attributes(before), _attributes(after)) if classes[0] == classes[1] else {}
    return ModuleDifference(path, classes, differing(_shapes(before), _shapes(after)), attributes)


def _class(module: nn.Module | None) -> str | None:
    return None if module is None else type(module).__name__


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _shapes(module: nn.Module | None) -> dict[str, tuple[int, ...]]:
    if module is None:
        return {}
    tensors = {**module._parameters, **module._buffers}
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor is not None}


def _attributes(module: nn.Module | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in (vars(module) if module else {}).items()
        if name not in BASE and not name.startswith("_") and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
