"""Libraries that only some of netsmith needs."""

from __future__ import annotations

from importlib.util import find_spec

from netsmith.errors import NetsmithError


def require(library: str, *, extra: str, what: str) -> None:
    """Refuse to go on without an optional library.

    Args:
        library: the name it is imported by.
        extra: the extra of netsmith that brings it.
        what: what needs it, for the message.

    Raises:
        NetsmithError: it is not installed; the message says what to install.
    """
    if find_spec(library) is None:
        raise NetsmithError(
            f"{what} needs {library}, which is not installed; run pip install 'netsmith[{extra}]'"
        )
