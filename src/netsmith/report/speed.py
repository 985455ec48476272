"""The measured latencies, and whether the exported file computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netsmith.report.bars import pair
from netsmith.report.markup import Markup, join, section, table, tag
from netsmith.report.units import number, ratio, time, times


def latencies(result: Mapping[str, Any]) -> Markup:
    """Return the section, or nothing when nothing was timed and nothing exported."""
    measured = result.get("latency") or {}
    return section("Measured latency", _batches(measured), _parity(result), lead=_setting(measured))


def _setting(measured: Mapping[str, Any]) -> str | None:
    if not measured.get("batches"):
        return None
    threads = measured.get("threads")
    how = [str(measured["runtime"])] if measured.get("runtime") else []
    if threads:
        how.append(f"{threads} thread{'s' if threads != 1 else ''}")
    return f"{', '.join(how)}. Before and after were timed in turns on the same machine." if how else None


def _batches(measured: Mapping[str, Any]) -> Markup:
    batches = measured.get("batches") or {}
    rows: list[list[object]] = []
    for batch, times_of in batches.items():
        before, after = number(times_of.get("before")), number(times_of.get("after"))
        full = max(before or 0.0, after or 0.0)
        share = ratio(before, after)
        bars = pair(before, after, full)
        seconds = join([time(before), " → ", tag("b", time(after))])
        faster = "" if not share else f"{times(1 / share)} faster" if share < 1 else f"{times(share)} slower"
        rows.append([f"Batch {batch}", bars, seconds, "the same" if share == 1 else faster])
    return table(["", "Time per batch", "", "Speed"], rows, "times") if rows else Markup("")


def _parity(result: Mapping[str, Any]) -> Markup:
    difference = number((result.get("export") or {}).get("max_relative_difference"))
    if difference is None:
        return Markup("")
    text = (
        f"The exported ONNX file and PyTorch differ by at most {difference:.1e} (relative) on fresh inputs."
    )
    return tag("p", " ".join([text, *_inputs(result)]), class_="note")


def _inputs(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence with the inputs of the exported file: a number is fixed, a name varies."""
    shapes = (result.get("export") or {}).get("inputs") or {}
    written = [f"{name} [{', '.join(map(str, sizes))}]" for name, sizes in shapes.items()]
    return [f"It takes {', '.join(written)}; sizes with a name vary."] if written else []
