"""Latency: a table of measured times per operation, interpolated, and what a whole network adds to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from netsmith.contracts import Inputs, Keep
from netsmith.cost.grid import between, cell, jumps
from netsmith.cost.latency_file import Entries, cache_folder, check_seconds, read, same_hardware, write
from netsmith.cost.runners import OnnxRuntime, Runner
from netsmith.cost.shapes import OperationShape
from netsmith.errors import BudgetError, FileError

if TYPE_CHECKING:
    from netsmith.graph import Operation, StructureGraph


class LatencyTable:
    r"""Seconds per operation on one machine, measured when first asked for and kept on disk.

    An entry is the time of one convolution or linear layer, ReLU fused, at given channel counts. A network's
    latency is

    .. math:: T(keep) = T_{constant} + \sum_{operations} t(c_{in}(keep), c_{out}(keep))

    with the constant (pooling, layout changes, what the runtime adds) from :meth:`calibrate`. The batch is
    that of the traced inputs.

    Args:
        runner: who measures; ONNX Runtime on one thread if not given. None with ``entries``: a table from
            elsewhere, which only looks up.
        grid: 1 measures every width that is asked for: exact, and for a search that halves its interval also
            the fewest measurements. Above 1, only multiples of ``grid`` (and the full width) are measured
            and times between are interpolated linearly in both counts, for searches that try many widths; but
            kernels work on blocks of channels, so widths off the blocks come out too fast. A cell in which
            the time jumps is not interpolated: there the real point is measured.
        cache: keep entries in ``NETSMITH_CACHE`` or the platform's cache folder, in a file per hardware
            (processor, vector instructions, cores, threads, runtime and version).

    Raises:
        BudgetError: a table without a runner is asked for what it does not hold, for instance the operations
            of another input size.
        FileError: the cache cannot be written, or the runner returns a time that is not positive.

    Not for choosing between runtimes, and not for a busy machine: entries are measured once.
    """

    def __init__(self, runner: Runner | None = None, *, grid: int = 1, cache: bool = True) -> None:
        if grid < 1:
            raise BudgetError(f"grid is {grid}; expected at least 1 channel between grid points")
        self.runner: Runner | None = runner or OnnxRuntime()
        self.grid = grid
        self.hardware = self.runner.hardware()
        self.entries: Entries = {}
        self.networks: dict[str, float] = {}
        self.path: Path | None = None
        if cache:
            words = "; ".join(f"{name}={self.hardware[name]}" for name in sorted(self.hardware))
            name = f"latency-{hashlib.sha256(words.encode()).hexdigest()[:16]}.json"
            self.path = cache_folder() / name
            self._recall(self.path)

    @classmethod
    def load(cls, path: str | Path, runner: Runner | None = None, *, elsewhere: bool = False) -> LatencyTable:
        """Return the table of a ``.json`` or ``.csv`` file written by :meth:`save`.

        Args:
            runner: as for the table; what the file lacks is measured with it.
            elsewhere: accept a table of other hardware, say of the device the network is made for. It then
                only looks up and never measures.

        Raises:
            FileError: the file is not a table, holds a time that is not positive, or is of other hardware.
        """
        table = cls(runner, cache=False)
        saved = read(Path(path))
        if elsewhere:
            table.runner, table.hardware = None, saved.hardware
        else:
            same_hardware(saved.hardware, table.hardware, path)
        table.entries, table.networks = saved.entries, saved.networks
        return table

    def save(self, path: str | Path) -> None:
        """Write the table as plain data, ``.json`` or ``.csv`` by the ending."""
        write(Path(path), self.hardware, self.entries, self.networks)

    def __call__(self, graph: StructureGraph, operation: Operation, keep: Keep | None = None) -> float:
        """Return the seconds of one operation of the graph under ``keep``; 0 for what has no entries.

        Only convolutions and linear layers have entries; everything else is part of the constant.
        """
        shape = OperationShape.of(operation, graph.widths(operation, keep))
        if shape is None:
            return 0.0
        full = OperationShape.of(operation, graph.widths(operation))
        if self.grid == 1 or shape.key in self.entries or full is None:
            return self.measured(shape)
        return self._interpolated(shape, full)

    def constant(self, graph: StructureGraph) -> float:
        """Return the seconds a whole network takes beyond its entries, never below 0.

        Only :meth:`calibrate` can tell; before it the answer is 0.
        """
        whole = self.networks.get(self._signature(graph))
        if whole is None:
            return 0.0
        return max(0.0, whole - sum(self(graph, operation) for operation in graph.operations))

    def latency(self, graph: StructureGraph, keep: Keep | None = None) -> float:
        """Return the predicted seconds of the whole network under ``keep``."""
        return self.constant(graph) + sum(self(graph, operation, keep) for operation in graph.operations)

    def calibrate(self, graph: StructureGraph, model: nn.Module, inputs: Inputs) -> float:
        """Measure the whole model, once, for :meth:`constant`; return its seconds.

        Raises:
            BudgetError: the table has no runner.
            FileError: the runner cannot take the model, say because ONNX cannot express it.
        """
        signature = self._signature(graph)
        if signature not in self.networks:
            if self.runner is None:
                raise BudgetError(
                    f"this table is from {self.hardware.get('cpu')} and cannot measure a model here"
                )
            self.networks[signature] = check_seconds(self.runner.model(model, inputs), "the whole model")
            self._remember()
        return self.networks[signature]

    def measured(self, shape: OperationShape) -> float:
        """Return the seconds of exactly this shape, measured now if it was not before.

        Raises:
            BudgetError: the table has no runner and no such entry.
        """
        if shape.key not in self.entries:
            if self.runner is None:
                raise BudgetError(self._missing(shape))
            self.entries[shape.key] = check_seconds(self.runner.operation(shape), shape.site)
            self._remember()
        return self.entries[shape.key]

    def _interpolated(self, shape: OperationShape, full: OperationShape) -> float:
        if shape.groups not in (full.groups, shape.c_in):
            return self.measured(shape)
        least, step = full.least, full.step(self.grid)
        rows = cell(shape.c_in, step, least, full.c_in)
        columns = (shape.c_out,) * 2 if full.depthwise else cell(shape.c_out, step, least, full.c_out)
        times = [[self.measured(full.at(c_in, c_out)) for c_out in columns] for c_in in rows]
        if jumps(times, rows, columns):
            return self.measured(shape)
        low, high = (between(row[0], row[1], shape.c_out, columns) for row in times)
        return between(low, high, shape.c_in, rows)

    def _signature(self, graph: StructureGraph) -> str:
        words = "\n".join(f"{shape.site} {shape.c_in} {shape.c_out}" for shape in _shapes(graph))
        kinds = " ".join(operation.name for operation in graph.operations)
        return hashlib.sha256(f"{words}\n{kinds}".encode()).hexdigest()[:16]

    def _missing(self, shape: OperationShape) -> str:
        where = f"the table from {self.hardware.get('cpu')} ({len(self.entries)} entries)"
        given = f"{shape.site} with {shape.c_in} channels in and {shape.c_out} out"
        likes = [site for site, _, _ in self.entries if _sizeless(site) == _sizeless(shape.site)]
        if likes and shape.site not in likes:
            held = f"it holds {likes[0]!r}, not {given!r}"
            return f"{where} is for another input size: {held}; trace with its inputs"
        return f"{where} holds no time for {given}; measure it there, or load the table without elsewhere"

    def _recall(self, path: Path) -> None:
        if path.exists():
            # A cache that cannot be read, say of an older version, is measured anew and replaced.
            with suppress(FileError):
                saved = read(path)
                self.entries = saved.entries | self.entries
                self.networks = saved.networks | self.networks

    def _remember(self) -> None:
        if self.path is not None:
            self._recall(self.path)
            self.save(self.path)


def _shapes(graph: StructureGraph) -> Iterator[OperationShape]:
    for operation in graph.operations:
        shape = OperationShape.of(operation, graph.widths(operation))
        if shape is not None:
            yield shape


def _sizeless(site: str) -> str:
    return " ".join(word for word in site.split() if not word.startswith(("batch=", "in=", "out=")))
