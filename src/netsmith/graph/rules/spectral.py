"""Complex numbers and Fourier transforms."""

from __future__ import annotations

from netsmith.graph.axes import Axes, fixed
from netsmith.graph.tracer import Call, Tracer

PARTS = "real and imaginary parts"
TRANSFORMED = "a Fourier transform runs over it"


def view_as_complex(tracer: Tracer, call: Call) -> Axes:
    """The last dimension, of two, becomes one number."""
    call.operation.kind = "view"
    *axes, parts = tracer.axes(call.args[0])
    tracer.freeze(parts, PARTS)
    return tuple(axes)


def view_as_real(tracer: Tracer, call: Call) -> Axes:
    """One number becomes a last dimension of two."""
    call.operation.kind = "view"
    return (*tracer.axes(call.args[0]), fixed(2, PARTS))


def transform(tracer: Tracer, call: Call) -> Axes:
    """``_fft_*(tensor, dims, ...)``: every frequency depends on every position, the other dimensions pass."""
    axes = list(tracer.axes(call.args[0]))
    for dim in call.args[1]:
        tracer.freeze(axes[dim], TRANSFORMED)
        axes[dim] = fixed(call.output.shape[dim], TRANSFORMED)
    return tuple(axes)


RULES = {
    **dict.fromkeys(("view_as_complex", "view_as_complex_copy"), view_as_complex),
    **dict.fromkeys(("view_as_real", "view_as_real_copy"), view_as_real),
    **dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), transform),
}
