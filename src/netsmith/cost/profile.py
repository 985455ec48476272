"""``profile``: where parameters, MACs, bytes, latency and energy go, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from netsmith.contracts import Inputs
from netsmith.cost.counting import Cost, CostTable
from netsmith.graph import StructureGraph
from netsmith.graph.tracing import trace

COLUMNS = ("params", "macs", "bytes", "latency", "energy")


@dataclass(frozen=True)
class Profile:
    """What a model costs: ``total`` of each kind, and ``layers`` in order of execution (dicts).

    Printing it gives a table. MACs, latency and energy are for the traced inputs, batch included.
    """

    total: dict[str, float]
    layers: list[dict[str, Any]]
    graph: StructureGraph

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {"total": self.total, "layers": self.layers}

    def __str__(self) -> str:
        kinds = [kind for kind in COLUMNS if kind in self.total]
        rows = [["layer", "kind", *kinds]]
        for layer in self.layers:
            cells = [amount(layer[kind], kind) if kind in layer else "" for kind in kinds]
            rows.append([layer["name"] or "(the model itself)", layer["kind"], *cells])
        rows.append(["total", "", *(amount(self.total[kind], kind) for kind in kinds)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(len(line) for line in lines)
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__


def amount(value: float, kind: str) -> str:
    """Return an amount in readable units: ``1.81 M``, ``200 kB``, ``5.20 ms``, ``3.10 mJ``."""
    if kind in ("latency", "energy"):
        unit = "s" if kind == "latency" else "J"
        for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {prefix}{unit}"
        return f"{value:.3g} {unit}"
    unit = "B" if kind == "bytes" else ""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def profile(
    model: nn.Module,
    inputs: Inputs,
    *,
    latency: CostTable | bool = False,
    energy: CostTable | bool = True,
) -> Profile:
    """Count what a model costs on some inputs, in total and per layer.

    Args:
        model: any module that runs; left as found.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.
        latency: a latency table, or ``True`` to measure one on this machine (takes seconds the first time).
        energy: an energy table, ``True`` for the one that comes with netsmith, ``False`` for none.

    Raises:
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
        >>> ns.profile(net, torch.zeros(1, 8)).total["macs"]
        768.0
    """
    graph = trace(model, inputs)
    tables: dict[str, CostTable] = {}
    if latency is True:
        from netsmith.cost.latency import LatencyTable

        tables["latency"] = LatencyTable()
    elif latency:
        tables["latency"] = latency
    if energy is True:
        from netsmith.cost.energy import EnergyTable

        tables["energy"] = EnergyTable()
    elif energy:
        tables["energy"] = energy
    cost = Cost(graph, **tables)
    return Profile(cost.total(), cost.layers(), graph)
