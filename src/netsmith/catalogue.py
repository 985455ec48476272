"""What methods there are: read off the families' ``__all__`` and the cards of their members."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import asdict, dataclass
from typing import Any

from netsmith.cards import Card

WITHOUT_METHODS = frozenset({"cli"})
"""Packages that are not looked into, because importing them is for the command alone."""


@dataclass(frozen=True)
class Entry:
    """One method of the catalogue."""

    family: str
    """Package it is exported from: penalties, projections, scores, recipes, ..."""
    name: str
    card: Card
    summary: str
    """First line of its docstring."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return {"family": self.family, "name": self.name, "summary": self.summary, **asdict(self.card)}


def entries() -> list[Entry]:
    """Return every exported member that carries a card, by family and name."""
    import netsmith

    found = []
    for package in pkgutil.iter_modules(netsmith.__path__):
        if package.ispkg and package.name not in WITHOUT_METHODS:
            module = importlib.import_module(f"netsmith.{package.name}")
            members = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
            found += [
                Entry(package.name, name, member.__card__, _summary(member))
                for name, member in members.items()
                if isinstance(getattr(member, "__card__", None), Card)
            ]
    return sorted(found, key=lambda entry: (entry.family, entry.name))


def _summary(member: object) -> str:
    return (inspect.getdoc(member) or "").partition("\n")[0]
