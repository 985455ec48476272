"""Text that came from a file or another library, made fit for a message of one line."""

from __future__ import annotations


def one_line(text: object) -> str:
    """Return ``text`` with everything that would break a line or steer a terminal replaced by spaces."""
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def first_line(error: BaseException) -> str:
    """Return the type and the first line that says something, of the error that started it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in map(one_line, str(error).splitlines()) if line]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
