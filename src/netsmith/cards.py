"""Method cards: what a method is, where it comes from and how it differs from its paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from netsmith.errors import BudgetError

if TYPE_CHECKING:
    from netsmith.cost import Budget

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
    nonzeros: bool = False
    """Whether a budget in ``params`` counts those that are not zero, while tensors keep their shapes."""


def card(
    title: str,
    *,
    paper: str = "",
    venue: str = "",
    differs: str = "nothing known",
    budgets: tuple[str, ...] = (),
    nonzeros: bool = False,
) -> Callable[[Method], Method]:
    """Attach a :class:`Card` to a class or function; it only annotates, nothing is registered."""

    def annotate(method: Method) -> Method:
        method.__card__ = Card(title, paper, venue, differs, budgets, nonzeros)  # type: ignore[attr-defined]
        return method

    return annotate


def require_served(method: object, budget: Budget, name: str) -> None:
    """Refuse a budget of a kind that a method's card does not list.

    Raises:
        BudgetError: names the kinds that were asked for, and those that the method serves.
    """
    card: Card | None = getattr(method, "__card__", None)
    if card is None or not card.budgets:
        return
    beyond = [kind for kind in budget.kinds if kind not in card.budgets]
    if beyond:
        counted = (
            " (those that are not zero; zeros in dense tensors save nothing else)" if card.nonzeros else ""
        )
        raise BudgetError(
            f"method {name!r} cannot serve a budget in {' and '.join(beyond)}; it serves "
            f"{', '.join(card.budgets)}{counted}: give one of these, or choose another method"
        )
