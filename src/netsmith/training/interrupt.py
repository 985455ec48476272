"""Ctrl-C and SIGTERM, taken between two steps instead of inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """While entered, the first SIGINT or SIGTERM only sets a flag; a second one acts at once.

    Outside the main thread, and for a signal that the caller ignores, nothing is changed.
    """

    def __init__(self) -> None:
        self._caught: int | None = None
        self._found: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._found[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *error: object) -> None:
        self._release()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came since the context was entered."""
        if self._caught is not None:
            raise KeyboardInterrupt(f"training stopped by {signal.Signals(self._caught).name}")

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self._caught = number
        self._release()

    def _release(self) -> None:
        while self._found:
            signal.signal(*self._found.popitem())
