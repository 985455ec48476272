"""How the command fails: one line on standard error and exit status 2; 130 when interrupted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from netsmith.errors import NetsmithError

# typer does not export the base of its usage errors, and has it from click or from its own copy of click.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

USAGE = 2
INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """A command group whose expected errors are one line each; unexpected ones keep their traceback."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **settings: Any) -> Any:
        """Run the command; without arguments show its help."""
        given = list(sys.argv[1:] if args is None else args)
        settings["standalone_mode"] = False
        try:
            code = super().main(given or ["--help"], *positional, **settings)
        except NetsmithError as error:
            code = _fail(str(error), USAGE)
        except UsageError as error:
            code = _fail(f"{error.format_message()} (see netsmith --help)", USAGE)  # type: ignore[attr-defined]
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen subcommand."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(_fail("interrupted; resume with --resume", INTERRUPTED)) from None


def _fail(message: str, code: int) -> int:
    print(f"netsmith: {' '.join(message.split())}", file=sys.stderr)
    return code
