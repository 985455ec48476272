"""How to get the same again: the command, the seed, the versions, and how to load the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from netsmith.report.markup import Markup, escape, section, table, tag
from netsmith.report.units import duration, number

LOAD = 'import netsmith as ns\n\nmodel = ns.load("model.nsm")'
LOAD_OWN = (
    "import netsmith as ns\n"
    "from your_module import YourModel  # the classes that your model is made of\n\n"
    'model = ns.load("model.nsm", classes=[YourModel])'
)


def reproduce(result: Mapping[str, Any]) -> Markup:
    """Return the section; the snippet for a user's own model names the classes it needs."""
    own = ".py:" in str(result.get("model") or "")
    command = result.get("command")
    children = [
        tag("h3", "Run it again") if command else "",
        tag("pre", _words(str(command))) if command else "",
        tag("h3", "Use the model"),
        tag("pre", tag("code", LOAD_OWN if own else LOAD)),
        facts(result),
    ]
    return section("Reproduce", *children)


def _words(command: str) -> Markup:
    """Return a command whose words are not broken at their hyphens."""
    return tag("code", *(tag("span", word) if word.strip() else word for word in re.split(r"(\s+)", command)))


def facts(result: Mapping[str, Any]) -> Markup:
    """Return seed, time, method settings, versions and machine as a table of two columns."""
    rows: list[list[object]] = []
    counted = (key for key in ("seed", "dense_epochs", "epochs") if result.get(key) is not None)
    rows += [[key.replace("_", " "), _value(result[key])] for key in counted]
    if number(result.get("seconds")) is not None:
        rows.append(["time", duration(result["seconds"])])
    spent = result.get("time")
    if isinstance(spent, Mapping):
        rows += [[f"time, {stage}", duration(seconds)] for stage, seconds in spent.items()]
    for part in ("machine", "versions", "notes"):
        content = result.get(part)
        if isinstance(content, Mapping):
            rows.extend([str(key), _value(value)] for key, value in content.items())
        elif content:
            rows.append([part, _value(content)])
    return table(["What", "Value"], rows, "facts") if rows else Markup("")


def _value(value: Any) -> Markup:
    if isinstance(value, Mapping | list | tuple):
        text = json.dumps(value, ensure_ascii=False, default=str)
        return tag("code", text if len(text) <= 2000 else f"{text[:2000]} …")
    return escape(f"{value:.6g}" if isinstance(value, float) else value)
