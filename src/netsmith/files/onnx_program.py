"""From a model to an ONNX program, also where sizes inside it depend on values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def onnx_program(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any) -> Any:
    """Return the ONNX program of a model.

    Where the code asks for a size that depends on values (how many edges are of one kind), PyTorch's exporter
    can go on only if it may look at the example's; then what the code decides by it is decided as there.

    Raises:
        Exception: ONNX cannot express the model.
    """
    try:
        return _to_onnx(model, args=args, kwargs=kwargs, dynamic_shapes=shapes)
    except Exception as error:
        if shapes or not _asks_for_a_value(error):
            raise
        from torch.export import draft_export

        return _to_onnx(draft_export(model, args, kwargs))


def _to_onnx(model: Any, **more: Any) -> Any:
    return torch.onnx.export(
        model,
        dynamo=True,
        verbose=False,
        external_data=False,
        custom_translation_table=_translations(),
        **more,
    )


def _asks_for_a_value(error: BaseException | None) -> bool:
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    while error is not None:
        if isinstance(error, GuardOnDataDependentSymNode) or GuardOnDataDependentSymNode.__name__ in str(
            error
        ):
            return True
        error = error.__cause__
    return False


def _translations() -> dict[Any, Any]:
    """Return ONNX for the operators that PyTorch's exporter lacks, or has for written-down sizes only."""
    from onnxscript import opset18 as op
    from onnxscript.function_libs.torch_lib.ops.core import aten_bincount, aten_sort

    def stable_sort(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
        # TopK gives the lower index first where values are equal: it is stable.
        return aten_sort(self, dim, descending)

    def bincount(self: Any, weights: Any = None, minlength: Any = 0) -> Any:
        if isinstance(minlength, int):
            return aten_bincount(self, weights, minlength)
        counts = aten_bincount(self, weights, 0)
        wanted = op.Reshape(minlength, op.Constant(value_ints=[1]))
        missing = op.Max(op.Sub(wanted, op.Shape(counts)), op.Constant(value_ints=[0]))
        return op.Concat(counts, op.Expand(op.Constant(value_int=0), missing), axis=0)

    return {torch.ops.aten.sort.stable: stable_sort, torch.ops.aten.bincount.default: bincount}
