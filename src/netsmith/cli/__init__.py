"""The command ``netsmith``; every heavy import happens inside the subcommand that needs it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from netsmith.cli.compare import compare
from netsmith.cli.compress import compress
from netsmith.cli.inspect import methods, profile
from netsmith.cli.one_line import OneLineErrors
from netsmith.cli.outputs import export, report

__all__ = ["app", "main"]

app = typer.Typer(
    name="netsmith",
    cls=OneLineErrors,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Shape a network's structure to a budget, with its weights: smaller and measurably faster.",
)


@app.callback(invoke_without_command=True)
def common(
    version: Annotated[
        bool, typer.Option("--version", help="print the version and end", is_eager=True)
    ] = False,
) -> None:
    """Shape a network's structure to a budget, with its weights: smaller and measurably faster."""
    if version:
        from netsmith import __version__

        print(__version__)


for command in (compress, compare, profile, methods, export, report):
    app.command()(command)


def main() -> None:
    """Run the command."""
    # Threads that wait by spinning take four times as long as soon as something else runs on the machine;
    # OpenMP reads this when torch is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()
