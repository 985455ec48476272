"""The page that `coverage.py` writes from its results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

CHECKS = ("shrunk", "traced", "exact", "grown", "saved", "exported")
PEER = "peer"
NOT_ASKED = "not asked"
NOT_SHRUNK = "not shrunk"

INTRODUCTION = """# Which networks can be shrunk

Written by `benchmarks/coverage.py`; the lists are in `benchmarks/architectures`. Nothing in netsmith names
any of these networks or their modules. All are built from their configuration with random weights (constants
such as zero biases moved a little, so that no branch starts switched off), in evaluation mode, on one CPU
thread.

- **traced**: `ns.trace` returned a graph; **groups** is how many sets of channels it found that can shrink.
- **shrunk**: `ns.shrink(ratio=0.5, scope="local")` took every group to half its channels (of an odd number,
  the half that stays is the larger) and handed back a network that runs and equals the masked original in
  single precision. What is counted as prunable width is every group found; a dimension that nothing may be
  taken from (inputs, outputs, what could not be followed) is in no group, so **parameters gone** stands
  beside: the share of all parameters that went. A network in which nothing can go counts as a no.
- **exact**: the same in double precision, to a relative difference of 1e-10 from the masked original. Where
  every reader of a channel is a weight and no statistic runs across channels, the cut is also compared with
  an oracle that shares no code with the masked run: a copy of the original whose reader weights are zero.
- **grown**: a channel of the first group that allows it, split into two with zero offset: parameters come,
  and the outputs (in double precision) move by at most 1e-6.
- **saved**: written to `.nsm` and loaded again, with bitwise the same outputs.
- **exported**: the shrunk network as ONNX, run in ONNX Runtime on inputs it was not exported with, within
  1e-3 of PyTorch.
- **CPU s**: trace and half-width shrink without verification; **verification** is what proving it exact in
  single precision adds.
- **Torch-Pruning**: version 1.6.1 on the same network: half of every group by magnitude, the layers that make
  the outputs ignored. A yes says that parameters went and the forward pass runs with outputs of the same
  shapes; it does not say that the cut is right. It was given 90 s of CPU.
"""


def page(results: dict[str, Any]) -> str:
    """Return the page: the summary, then all architectures of each library, then the reasons."""
    libraries: dict[str, dict[str, Any]] = {}
    for key in sorted(results, key=str.casefold):
        library, _, name = key.partition("/")
        libraries.setdefault(library, {})[name] = results[key]
    parts = [INTRODUCTION, _summary(libraries)]
    for library, rows in libraries.items():
        parts += [f"## {library}\n", _rows(rows), _reasons(rows)]
    return "\n".join(part for part in parts if part)


def _summary(libraries: dict[str, dict[str, Any]]) -> str:
    head = [
        "library",
        "count",
        "traced",
        "shrunk",
        "exact",
        "grown",
        "saved",
        "exported",
        "parameters gone, median",
    ]
    head += ["Torch-Pruning", "CPU time ratio, median"]
    lines = [_line(head), _line(["---"] * len(head))]
    for library, rows in libraries.items():
        lines.append(_line([library, *_totals(list(rows.values()))]))
    everything = [row for rows in libraries.values() for row in rows.values()]
    lines.append(_line(["**all**", *_totals(everything)]))
    proved = [row["figures"] for row in everything if row["cells"].get("exact") == "yes"]
    double = sum(figures.get("precision") == "float64" for figures in proved)
    oracle = sum(figures.get("oracle") is not None for figures in proved)
    return "\n".join([
        *lines,
        "",
        f"Of the {len(proved)} exact ones {double} run in double precision (the others insist on single, and "
        f"were held to 1e-4), and for {oracle} the oracle applies. The ratio is netsmith's CPU time without "
        "verification over Torch-Pruning's, where Torch-Pruning passed.",
        "",
    ])  # fmt: skip


def _totals(rows: list[Any]) -> list[str]:
    cells = [str(len(rows))]
    for check in ("traced", "shrunk", "exact", "grown", "saved", "exported"):
        cells.append(_share([row["cells"].get(check) for row in rows]))
    gone = [_gone(row["figures"]) for row in rows]
    cells.append(_percent(statistics.median([share or 0.0 for share in gone])))
    cells.append(_share([row["cells"][PEER] for row in rows if PEER in row["cells"]]))
    ratios = [ratio for ratio in map(_ratio, rows) if ratio is not None]
    cells.append(f"{statistics.median(ratios):.2f} ({len(ratios)})" if ratios else "")
    return cells


def _share(cells: Iterable[str | None]) -> str:
    asked = [cell for cell in cells if cell != NOT_ASKED]
    if not asked:
        return ""
    passed = sum(cell == "yes" for cell in asked)
    return f"{passed}/{len(asked)}, {100 * passed / len(asked):.1f} %"


def _ratio(row: Any) -> float | None:
    figures = row["figures"]
    if row["cells"].get(PEER) != "yes" or "seconds" not in figures or not figures.get("peer_seconds"):
        return None
    return float(figures["seconds"] / figures["peer_seconds"])


def _gone(figures: dict[str, Any]) -> float | None:
    return 1 - figures["left"] / figures["parameters"] if "left" in figures else None


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _rows(rows: dict[str, Any]) -> str:
    head = [
        "architecture",
        "traced",
        "groups",
        "shrunk",
        "parameters",
        "parameters gone",
        "exact",
        "grown",
        "saved",
    ]
    head += ["exported", "CPU s", "verification", "Torch-Pruning", "its CPU s"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, row in rows.items():
        cells, figures = row["cells"], row["figures"]
        short = {check: _short(cells.get(check)) for check in (*CHECKS, PEER)}
        lines.append(
            _line([
                name, short["traced"], str(figures.get("groups", "")), short["shrunk"],
                f"{figures['parameters']:,}" if "parameters" in figures else "", _percent(_gone(figures)),
                short["exact"], short["grown"], short["saved"], short["exported"],
                _seconds(figures.get("seconds")), _seconds(figures.get("verification")),
                short[PEER], _seconds(figures.get("peer_seconds")),
            ])
        )  # fmt: skip
    return "\n".join([*lines, ""])


def _reasons(rows: dict[str, Any]) -> str:
    lines = [
        f"- {name}, {'Torch-Pruning' if check == PEER else check}: {cell.replace('|', '/')}"
        for name, row in rows.items()
        for check, cell in row["cells"].items()
        if cell not in ("yes", NOT_ASKED, NOT_SHRUNK)
    ]
    return "\n".join(["Where it is not a yes:\n", *lines, ""]) if lines else ""


def _short(cell: str | None) -> str:
    return {None: "", NOT_ASKED: ""}.get(cell, "yes" if cell == "yes" else "no")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
