"""The page around the sections: one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from netsmith.report.markup import Markup, join, tag
from netsmith.report.reproduce import reproduce
from netsmith.report.speed import latencies
from netsmith.report.structure import structure
from netsmith.report.summary import comparison_table, headline, tiles, verdicts, warnings
from netsmith.report.training import training
from netsmith.report.units import duration, number

LOGO = (
    '<svg class="logo" viewBox="0 0 24 24" aria-hidden="true">'
    '<path d="M5 5 12 8.5M5 12l7-3.5M5 12l7 4M5 19l7-3M12 8.5l7 3.5M12 16l7-4"/>'
    '<circle cx="5" cy="5" r="2"/><circle cx="5" cy="12" r="2"/><circle cx="5" cy="19" r="2"/>'
    '<circle cx="12" cy="8.5" r="2"/><circle cx="12" cy="16" r="2"/>'
    '<circle class="end" cx="19" cy="12" r="2.5"/></svg>'
)


def render(result: Mapping[str, Any]) -> str:
    """Return the HTML report of one compression.

    Arguments:
        result: the content of ``result.json``: ``before`` and ``after`` (each with ``accuracy``, ``params``,
            ``macs``, ``bytes``, ``latency_s``, ``energy_j`` and more), ``budget``, ``model``, ``data``,
            ``method``, ``seed``, ``seconds``, ``versions``; and, as far as known, ``name``, ``command``,
            ``machine``, ``epochs``, ``history`` (a row for each epoch), ``stages`` (accuracy after each),
            ``sensitivity``, ``layers``, ``latency``, ``export``, ``records``, ``frozen``, ``notes``,
            ``warnings``. A part that is missing leaves out its section.

    Returns:
        A whole page, light and offline: no part of it is fetched, and its own policy forbids fetching.
    """
    sentence = headline(result)
    return document(
        sentence,
        tag("header", _eyebrow(result), tag("h1", sentence), verdicts(result)),
        warnings(result),
        tiles(result),
        comparison_table(result),
        training(result),
        structure(result),
        latencies(result),
        reproduce(result),
        name=str(result.get("name") or ""),
    )


def _eyebrow(result: Mapping[str, Any]) -> Markup:
    parts = [tag("span", result[key]) for key in ("model", "data", "method") if result.get(key)]
    if number(result.get("seconds")) is not None:
        parts.append(tag("span", f"in {duration(result['seconds'])}"))
    return tag("p", *parts, class_="eyebrow")


def document(title: str, *parts: object, name: str = "") -> str:
    """Return a whole page from its parts, with style and script inside; ``name`` stands beside ours."""
    folder = resources.files("netsmith.report")
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Only our own script may run and nothing may be fetched, whatever text the result brings along.
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="netsmith"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{name or title} · netsmith"),
        Markup(f"<style>{style}</style>"),
    )
    brand = tag("div", Markup(LOGO), tag("b", "netsmith"), tag("span", name) if name else "", class_="brand")
    body = tag("body", tag("main", brand, *parts), Markup(f"<script>{script}</script>"))
    return f'<!doctype html>\n<html lang="en">{join([head, body])}</html>\n'
