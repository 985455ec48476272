"""The shape of one operation: all that its time can depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import lcm, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netsmith.graph import Operation


@dataclass(frozen=True)
class OperationShape:
    """A convolution or a linear layer with its sizes.

    Args:
        kind: ``"conv"`` or ``"linear"``.
        batch: samples of a convolution, rows of a linear layer.
        c_in: channels read.
        c_out: channels produced.
        groups: groups of a convolution; as many as ``c_in`` is a depthwise one.
        transposed: whether it is a transposed convolution.
        spatial: height and width read (or length, or depth, height and width).
        out_spatial: the same of what is produced.
        kernel: size of the kernel, as long as ``spatial``; likewise ``stride``, ``padding``, ``dilation``.
    """

    kind: str
    batch: int
    c_in: int
    c_out: int
    groups: int = 1
    transposed: bool = False
    spatial: tuple[int, ...] = ()
    out_spatial: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @classmethod
    def of(cls, operation: Operation, widths: Mapping[str, int]) -> OperationShape | None:
        """Return the shape of a traced operation at the given widths, or None for another kind."""
        given = operation.geometry
        if operation.kind == "linear":
            return cls("linear", int(given["rows"]), widths["in"], widths["out"])
        if operation.kind != "conv":
            return None
        return cls(
            "conv",
            int(given["batch"]),
            widths["in"],
            widths["out"],
            widths["groups"],
            bool(given["transposed"]),
            tuple(given["in_spatial"]),
            tuple(given["out_spatial"]),
            *(tuple(given[size]) for size in ("kernel", "stride", "padding", "dilation")),
        )

    @property
    def depthwise(self) -> bool:
        """Whether every input channel has its own kernels."""
        return self.groups > 1 and self.groups == self.c_in

    @property
    def site(self) -> str:
        """Everything but the widths, as one line; the key under which a table keeps a surface of times."""
        if self.kind == "linear":
            return f"linear batch={self.batch}"
        sizes = {
            "in": self.spatial,
            "out": self.out_spatial,
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
        }
        words = [f"{name}={'x'.join(map(str, size))}" for name, size in sizes.items()]
        kind = "conv_transposed" if self.transposed else "conv"
        grouped = "depthwise" if self.depthwise else str(self.groups)
        return " ".join([kind, f"batch={self.batch}", *words, f"groups={grouped}"])

    @property
    def key(self) -> tuple[str, int, int]:
        """What a table files its time under: site and widths."""
        return self.site, self.c_in, self.c_out

    @property
    def macs(self) -> int:
        """Multiply-accumulates: one per weight and position."""
        if self.kind == "linear":
            return self.batch * self.c_in * self.c_out
        positions = prod(self.spatial if self.transposed else self.out_spatial)
        return self.batch * positions * prod(self.kernel) * self.c_in * self.c_out // self.groups

    @property
    def least(self) -> int:
        """The fewest channels, and the distance of possible widths."""
        return 1 if self.depthwise else self.groups

    def step(self, grid: int) -> int:
        """Return the distance of grid points: ``grid``, or its least multiple that the groups divide."""
        return lcm(grid, self.least)

    def at(self, c_in: int, c_out: int) -> OperationShape:
        """Return the same operation at other widths; a depthwise one follows ``c_in``."""
        if self.depthwise:
            return replace(self, c_in=c_in, c_out=c_in * (self.c_out // self.c_in), groups=c_in)
        return replace(self, c_in=c_in, c_out=c_out)

    def output_padding(self) -> tuple[int, ...]:
        """Return what a transposed convolution adds at one side to reach ``out_spatial``."""
        sides = zip(
            self.spatial, self.out_spatial, self.kernel, self.stride, self.padding, self.dilation, strict=True
        )
        return tuple(
            out - ((size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
            for size, out, kernel, stride, padding, dilation in sides
        )
