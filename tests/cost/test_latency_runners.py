from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.cost.one_operation import onnx_model, torch_model
from netsmith.cost.runners import OnnxRuntime, Runner, TorchEager
from netsmith.cost.shapes import OperationShape
from netsmith.graph import trace

MODULES = {
    "plain": nn.Conv2d(4, 8, 3, padding=1),
    "strided": nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(1, 0)),
    "dilated": nn.Conv2d(4, 8, 3, dilation=2),
    "grouped": nn.Conv2d(4, 8, 3, groups=2),
    "depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "transposed": nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1),
    "transposed grouped": nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2),
    "linear": nn.Linear(4, 8),
}


def shape_of(name: str) -> tuple[OperationShape, torch.Tensor]:
    module = nn.Sequential(nn.Linear(5, 4) if name == "linear" else nn.Conv2d(3, 4, 1), MODULES[name])
    inputs = torch.zeros(2, 5) if name == "linear" else torch.zeros(2, 3, 9, 9)
    graph = trace(module, inputs)
    operation = next(one for one in graph.operations if one.module == "1" and one.kind in ("conv", "linear"))
    shape = OperationShape.of(operation, graph.widths(operation))
    assert shape is not None
    return shape, module(inputs)


@pytest.mark.parametrize("name", MODULES)
def test_one_operation_models_have_the_traced_shape(name: str) -> None:
    import onnxruntime

    shape, output = shape_of(name)
    module, inputs = torch_model(shape)
    assert module(inputs).shape == output.shape
    assert sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in MODULES[name].parameters())
    model, feed = onnx_model(shape)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert session.run(None, feed)[0].shape == tuple(output.shape)


@pytest.mark.parametrize("runner", [OnnxRuntime(threads=1), TorchEager(threads=1)])
def test_runners_measure_positive_seconds(runner: Runner) -> None:
    for name in ("plain", "depthwise", "linear"):
        assert 0 < runner.operation(shape_of(name)[0]) < 1


@pytest.mark.parametrize("runner", [OnnxRuntime(threads=1), TorchEager(threads=1)])
def test_a_whole_model_is_measured_and_left_as_found(runner: Runner) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 2)
    )
    model[2].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    threads = torch.get_num_threads()
    assert 0 < runner.model(model, torch.randn(2, 3, 8, 8)) < 1
    assert [module.training for module in model] == [True, True, False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.get_num_threads() == threads


def test_hardware_tells_runners_and_threads_apart() -> None:
    known = [OnnxRuntime(threads=1), OnnxRuntime(threads=2), TorchEager(threads=1)]
    described = [runner.hardware() for runner in known]
    assert all({"cpu", "vector", "cores", "machine", "threads", "runtime"} == set(one) for one in described)
    assert described[0] != described[1]
    assert described[0]["runtime"].startswith("onnxruntime ")
    assert described[2]["runtime"] == f"torch {torch.__version__}"
