"""Parameters, MACs and bytes: counted from the structure graph, for the whole, per layer, per group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netsmith.contracts import Keep
from netsmith.graph import Operation, StructureGraph

UNITS = {"macs": "", "params": "", "bytes": "B", "latency": "s", "energy": "J"}


class CostTable(Protocol):
    """Latency or energy of one operation, and what no operation accounts for."""

    def __call__(self, graph: StructureGraph, operation: Operation, keep: Keep | None) -> float:
        """Return seconds or joules of one operation under ``keep``."""
        ...

    def constant(self, graph: StructureGraph) -> float:
        """Return seconds or joules that no operation accounts for."""
        ...


class Cost:
    """What a model costs, and what it would cost after a cut.

    - ``macs``: multiply-accumulates of convolutions and matrix products, of every time step and of messages
      added up along edges too, for the traced inputs (with their batch size); one MAC is one multiply and one
      add.
    - ``params``: scalars in parameters. ``bytes``: parameters and buffers in their own data type.
    - ``latency`` (seconds) and ``energy`` (joules) where a table is given.

    Args:
        graph: the structure graph; its traced inputs fix spatial sizes and batch.
        latency: a latency table (:class:`netsmith.cost.LatencyTable`).
        energy: an energy table (:class:`netsmith.cost.EnergyTable`).
        parameters: names of the tensors that are parameters; default all that are not buffers.
    """

    def __init__(
        self, graph: StructureGraph, *, latency: CostTable | None = None, energy: CostTable | None = None
    ) -> None:
        self.graph = graph
        self.tables: dict[str, CostTable] = {}
        if latency is not None:
            self.tables["latency"] = latency
        if energy is not None:
            self.tables["energy"] = energy
        self._constants = {kind: table.constant(graph) for kind, table in self.tables.items()}
        self._counted = [operation for operation in graph.operations if operation.scale]

    def total(self, keep: Keep | None = None) -> dict[str, float]:
        """Return the cost of the whole model under ``keep``, one entry per kind."""
        alive = self.graph.survivors(keep)
        total = {"macs": float(sum(self._macs(op, alive) for op in self._counted)), **self._size(alive)}
        for kind, table in self.tables.items():
            total[kind] = self._constants[kind] + sum(table(self.graph, op, keep) for op in self._counted)
        return total

    def macs(self, operation: Operation, keep: Keep | None = None) -> int:
        """Return the multiply-accumulates of one operation of the graph."""
        return self._macs(operation, self.graph.survivors(keep))

    def layers(self, keep: Keep | None = None) -> list[dict[str, Any]]:
        """Return the cost per layer (the module that ran the operators), in order of execution."""
        alive = self.graph.survivors(keep)
        rows: dict[str, dict[str, Any]] = {}
        for operation in self._counted:
            row = rows.setdefault(
                operation.module,
                {
                    "name": operation.module,
                    "kind": operation.kind,
                    **self.graph.widths(operation, keep),
                    "macs": 0.0,
                },
            )
            row["macs"] += float(self._macs(operation, alive))
            for kind, table in self.tables.items():
                row[kind] = row.get(kind, 0.0) + table(self.graph, operation, keep)
        self._add_sizes(rows, alive)
        return list(rows.values())

    def savings(self, keep: Keep | None = None) -> dict[str, dict[str, float]]:
        """Return, per group, what removing one more of its channels would save of each kind."""
        now = self.total(keep)
        saved = {}
        for group in self.graph.groups:
            mask = (
                self.graph.full()[group.name] if keep is None or group.name not in keep else keep[group.name]
            )
            if int(mask.sum()) < 2:
                saved[group.name] = dict.fromkeys(now, 0.0)
                continue
            fewer = mask.clone()
            fewer[int(mask.nonzero()[-1])] = False
            after = self.total({**(keep or {}), group.name: fewer})
            saved[group.name] = {kind: now[kind] - after[kind] for kind in now}
        return saved

    def meter(self, kinds: set[str]) -> Callable[[Keep], dict[str, float]]:
        """Return a function from keep to the costs of some kinds only, the fast path of a budgeted search."""
        needs_size = kinds & {"params", "bytes"}

        def measure(keep: Keep) -> dict[str, float]:
            alive = self.graph.survivors(keep)
            total: dict[str, float] = dict(self._size(alive)) if needs_size else {}
            if "macs" in kinds:
                total["macs"] = float(sum(self._macs(op, alive) for op in self._counted))
            for kind in kinds & set(self.tables):
                table = self.tables[kind]
                total[kind] = self._constants[kind] + sum(table(self.graph, op, keep) for op in self._counted)
            return {kind: total[kind] for kind in kinds}

        return measure

    def _macs(self, operation: Operation, alive: NDArray[np.bool_]) -> int:
        macs = operation.scale
        for dim in operation.iterations:
            macs *= self.graph.width(dim, alive)
        return macs

    def _size(self, alive: NDArray[np.bool_]) -> dict[str, float]:
        params = size = 0
        for name, shape in self.graph.shapes(alive).items():
            count = int(np.prod(shape, dtype=np.int64))
            size += count * self.graph.itemsize[name]
            params += count if name in self.graph.parameters else 0
        return {"params": float(params), "bytes": float(size)}

    def _add_sizes(self, rows: dict[str, dict[str, Any]], alive: NDArray[np.bool_]) -> None:
        for name, shape in self.graph.shapes(alive).items():
            owner = name.rpartition(".")[0]
            row = rows.get(owner)
            if row is None:
                row = rows.setdefault(owner, {"name": owner, "kind": "other", "macs": 0.0})
            count = int(np.prod(shape, dtype=np.int64))
            row["bytes"] = row.get("bytes", 0.0) + count * self.graph.itemsize[name]
            if name in self.graph.parameters:
                row["params"] = row.get("params", 0.0) + count
