"""The tables the command prints for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netsmith.workflow.result import Result

WIDE = 1000
"""Columns of what has no edge: a file or a pipe. A table takes what it needs of them."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> None:
    """Print a table on standard output; columns from ``numbers_from`` on are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, title in enumerate(head):
        is_number = column >= numbers_from
        whole = is_number or column == 0
        drawn.add_column(title, justify="right" if is_number else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        drawn.add_row(*row)
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(drawn)


def before_after(result: Result) -> None:
    """Print what the network cost and could do, before and after."""
    from netsmith.report.quantities import ACCURACY, SHOWN

    rows = [
        [
            "accuracy",
            ACCURACY.written(result.before["accuracy"]),
            ACCURACY.written(result.after["accuracy"]),
            "",
        ]
    ]
    for quantity in SHOWN:
        before, after = quantity.of(result.before), quantity.of(result.after)
        if before is not None and after is not None:
            share = f"{100 * after / before:.1f} %" if before else ""
            rows.append([quantity.label, quantity.written(before), quantity.written(after), share])
    table(["", "before", "after", "left"], rows)
