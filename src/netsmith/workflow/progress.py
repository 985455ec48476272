"""What a run says on standard error while it works."""

from __future__ import annotations

import sys
from collections.abc import Callable


def printer(enabled: bool) -> Callable[[str], None]:
    """Return a function that prints one line on standard error, or does nothing."""
    return _say if enabled else _silent


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _silent(message: str) -> None:
    """Drop a message."""
