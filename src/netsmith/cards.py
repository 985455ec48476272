"""Method cards: what a method is, where it comes from and how it differs from its paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Card:
    """What the catalogue says of one method."""

    title: str
    paper: str = ""
    """``arXiv:…``, a DOI, or author and year."""
    venue: str = ""
    differs: str = "nothing known"
    """How this implementation differs from the paper."""
    budgets: tuple[str, ...] = ()
    """Kinds of budget that a recipe can serve; all of them if empty."""


def card(
    title: str,
    *,
    paper: str = "",
    venue: str = "",
    differs: str = "nothing known",
    budgets: tuple[str, ...] = (),
) -> Callable[[Method], Method]:
    """Attach a :class:`Card` to a class or function; it only annotates, nothing is registered."""

    def annotate(method: Method) -> Method:
        method.__card__ = Card(title, paper, venue, differs, budgets)  # type: ignore[attr-defined]
        return method

    return annotate
