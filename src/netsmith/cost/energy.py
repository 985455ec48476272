"""Energy: published costs of one operation and one memory access, times how often each happens."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

from netsmith.contracts import Keep
from netsmith.cost.shapes import OperationShape
from netsmith.errors import BudgetError

if TYPE_CHECKING:
    from netsmith.graph import Operation, StructureGraph

PICOJOULE = 1e-12
WORD_BITS = 64
SRAM = ((8 * 2**10, 10.0), (32 * 2**10, 20.0), (2**20, 100.0))
"""On-chip memories: (capacity in bytes, picojoules per 64-bit access)."""
DRAM = (1300.0 + 2600.0) / 2
"""Picojoules per 64-bit access; the source gives 1.3 to 2.6 nJ."""


class _Arithmetic(NamedTuple):
    multiply: float
    add: float
    bits: int


ARITHMETIC = {
    "float32": _Arithmetic(3.7, 0.9, 32),
    "float16": _Arithmetic(1.1, 0.4, 16),
    "int8": _Arithmetic(0.2, 0.03, 8),
}
"""Picojoules per operation, and bits per operand."""


@dataclass(frozen=True)
class EnergyTable:
    r"""Joules per operation, estimated from a table of costs, not measured.

    .. math:: E = M (e_{multiply} + e_{add}) + n_w e_{DRAM} + (n_{in} + n_{out}) e_{memory}

    with M multiply-accumulates, and n the 64-bit words of weights (with bias), of what is read and of what
    is produced.

    Assumptions: weights come from DRAM once per run of the traced inputs, whatever the batch; activations
    are read once and written once, in the smallest on-chip memory (8 KiB, 32 KiB or 1 MiB) that holds one
    sample's, in DRAM if none does; traffic between that memory and the arithmetic, control and leakage
    are not counted; nor are pooling, activation functions and normalisation, which are folded or small.

    Args:
        precision: ``"float32"``, ``"float16"`` or ``"int8"``.

    Raises:
        BudgetError: another precision.

    Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, 45 nm,
    0.9 V: multiply / add of float32 3.7 / 0.9 pJ, float16 1.1 / 0.4 pJ, int8 0.2 / 0.03 pJ; 64 bits from a
    cache of 8 KB 10 pJ, 32 KB 20 pJ, 1 MB 100 pJ, from DRAM 1.3-2.6 nJ (the middle is taken). Good for
    comparing cuts of one network; not for a battery's life.
    """

    precision: Literal["float32", "float16", "int8"] = "float32"

    def __post_init__(self) -> None:
        if self.precision not in ARITHMETIC:
            raise BudgetError(
                f"no energy table for precision {self.precision!r}; known: {', '.join(ARITHMETIC)}"
            )

    def __call__(self, graph: StructureGraph, operation: Operation, keep: Keep | None = None) -> float:
        """Return the joules of one convolution or linear layer under ``keep``; 0 for anything else."""
        shape = OperationShape.of(operation, graph.widths(operation, keep))
        return 0.0 if shape is None else self.joules(shape)

    def constant(self, graph: StructureGraph) -> float:
        """Return the joules that no operation accounts for: none are counted."""
        return 0.0

    def joules(self, shape: OperationShape) -> float:
        """Return the joules of one operation.

        >>> one = OperationShape("linear", batch=1, c_in=64, c_out=1)
        >>> round(EnergyTable().joules(one) * 1e12, 1)  # 64 MACs, 65 weights, 64 + 1 activations
        63994.4
        """
        multiply, add, bits = ARITHMETIC[self.precision]
        fan = shape.c_in // shape.groups
        weights = fan * shape.c_out * prod(shape.kernel) + shape.c_out
        read, produced = shape.c_in * prod(shape.spatial), shape.c_out * prod(shape.out_spatial)
        activations = sum(_access(count * bits / 8) * count for count in (read, produced))
        words = bits / WORD_BITS
        picojoules = (
            shape.macs * (multiply + add) + weights * words * DRAM + shape.batch * activations * words
        )
        return picojoules * PICOJOULE


def _access(size: float) -> float:
    """Return picojoules per 64-bit access of the smallest memory that holds so many bytes."""
    return next((cost for capacity, cost in SRAM if size <= capacity), DRAM)
