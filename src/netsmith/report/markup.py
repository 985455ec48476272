"""HTML from Python values: everything is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = frozenset({"br", "link", "meta"})


class Markup(str):
    """Text that is HTML already; :func:`tag` escapes every other string."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return a value as HTML text; a :class:`Markup` passes unchanged, None is empty.

    >>> escape("<b> & co")
    '&lt;b&gt; &amp; co'
    """
    if value is None:
        return Markup("")
    if isinstance(value, Markup):
        return value
    # A file name may hold bytes that are not UTF-8; Python carries them as surrogates no encoder accepts.
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return Markup(html.escape(text))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Return the parts one after another, each escaped where it needs it."""
    return Markup(escape(separator).join(escape(part) for part in parts))


def tag(element: str, /, *children: object, **attributes: object) -> Markup:
    """Return one element; ``class_`` is ``class``, other underscores are hyphens, None leaves one out.

    >>> tag("p", "1 < 2", class_="note", data_tip='"')
    '<p class="note" data-tip="&quot;">1 &lt; 2</p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Markup(f"<{element}{written}>")
    return Markup(f"<{element}{written}>{join(children)}</{element}>")


def section(title: str, *children: object, lead: object = None) -> Markup:
    """Return one titled part of the page, or nothing when all its children are empty."""
    if not any(children):
        return Markup("")
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, *children)


def table(head: Iterable[object], rows: Iterable[Iterable[object]], class_: str = "") -> Markup:
    """Return a table in a box of its own that scrolls sideways; the first column names the row."""
    first, *others = head
    columns = [tag("th", first, scope="col"), *(tag("th", cell, scope="col") for cell in others)]
    body = []
    for name, *cells in rows:
        body.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells)))
    inner = tag("table", tag("thead", tag("tr", *columns)), tag("tbody", *body), class_=class_ or None)
    return tag("div", inner, class_="scroll", tabindex="0")
