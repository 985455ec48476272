"""A module that hands its arguments back: what is left where a whole block was taken out."""

from __future__ import annotations

from typing import Any

from torch import nn


class PassThrough(nn.Module):
    """Return some of the arguments, in the form in which the caller expects them.

    Args:
        returns: what comes back. A number is the positional argument of that number, a string the keyword
            argument of that name, ``None`` is ``None``; a
            list stands for a tuple and a dict for a dict of these.

    Example:
        >>> PassThrough([0, None])("hidden", mask="mask")
        ('hidden', None)
    """

    def __init__(self, returns: Any = 0) -> None:
        super().__init__()
        self.returns = returns

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Return the chosen arguments as they are."""
        return _filled(self.returns, arguments, keywords)

    def extra_repr(self) -> str:
        """Return what comes back."""
        return f"returns={self.returns!r}"


def _filled(returns: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    if isinstance(returns, list):
        return tuple(_filled(item, arguments, keywords) for item in returns)
    if isinstance(returns, dict):
        return {name: _filled(item, arguments, keywords) for name, item in returns.items()}
    if isinstance(returns, int):
        return arguments[returns]
    return None if returns is None else keywords[returns]
