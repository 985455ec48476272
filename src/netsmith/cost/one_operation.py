"""The smallest models that run one operation, for ONNX Runtime and for PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.cost.shapes import OperationShape

OPSET = 18
IR_VERSION = 10


def onnx_model(shape: OperationShape) -> tuple[bytes, dict[str, Any]]:
    """Return an ONNX model of the operation with bias and ReLU, serialised, and what to feed it."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    fan = shape.c_in // shape.groups
    if shape.kind == "linear":
        size: tuple[int, ...] = (shape.c_out, shape.c_in)
        node = helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], transB=1)
    else:
        size = (shape.c_out, fan, *shape.kernel)
        if shape.transposed:
            size = (shape.c_in, shape.c_out // shape.groups, *shape.kernel)
        attributes = {
            "kernel_shape": shape.kernel,
            "strides": shape.stride,
            "pads": shape.padding * 2,
            "dilations": shape.dilation,
            "group": shape.groups,
        }
        if shape.transposed:
            attributes["output_padding"] = shape.output_padding()
        kind = "ConvTranspose" if shape.transposed else "Conv"
        node = helper.make_node(kind, ["x", "weight", "bias"], ["y"], **attributes)
    weight = (random.standard_normal(size) / np.sqrt(np.prod(size[1:]))).astype(np.float32)
    given = (shape.batch, shape.c_in, *shape.spatial)
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["y"], ["z"])],
        "one_operation",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [
            helper.make_tensor_value_info(
                "z", TensorProto.FLOAT, (shape.batch, shape.c_out, *shape.out_spatial)
            )
        ],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.zeros(shape.c_out, np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model.SerializeToString(), {"x": random.standard_normal(given).astype(np.float32)}


def torch_model(shape: OperationShape) -> tuple[nn.Module, Tensor]:
    """Return the operation with bias and ReLU as a module, and its input."""
    inputs = torch.from_numpy(
        np.random.default_rng(0).standard_normal((shape.batch, shape.c_in, *shape.spatial)).astype(np.float32)
    )
    if shape.kind == "linear":
        return nn.Sequential(nn.Linear(shape.c_in, shape.c_out), nn.ReLU()), inputs
    kind = ("ConvTranspose" if shape.transposed else "Conv") + f"{len(shape.kernel)}d"
    more: dict[str, Any] = {"output_padding": shape.output_padding()} if shape.transposed else {}
    conv = getattr(nn, kind)(
        shape.c_in,
        shape.c_out,
        shape.kernel,
        stride=shape.stride,
        padding=shape.padding,
        dilation=shape.dilation,
        groups=shape.groups,
        **more,
    )
    return nn.Sequential(conv, nn.ReLU()), inputs
