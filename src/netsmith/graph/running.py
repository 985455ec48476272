"""Running a model under a tracer, on ``meta`` or for real, and leaving it as found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from netsmith.calling import call_arguments, copied
from netsmith.contracts import Inputs
from netsmith.errors import NetsmithError, TraceError
from netsmith.graph.axes import fixed
from netsmith.graph.own_calls import opaque_modules, trace_opaque
from netsmith.graph.size_watch import SizeWatch
from netsmith.graph.traced_attributes import traced_attributes
from netsmith.graph.tracer import FROM_INPUT, FROM_OUTPUT, Tracer
from netsmith.layers.multihead_attention import MultiheadAttention
from netsmith.modes import as_found, evaluating, values_kept
from netsmith.wrappers import uncompiled


@contextmanager
def plain_kernels(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Switch off the fused kernels of attention, encoders and recurrent layers: they hide their operators.

    PyTorch's attention asserts that its heads fill its input's width; meanwhile it runs as the layer that
    does not, which is also what it becomes when cut.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    modules = list(modules)
    attentions = [module for module in modules if type(module) is nn.MultiheadAttention]
    recurrent = any(isinstance(module, nn.RNNBase) for module in modules)
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(onednn and not recurrent)
    for module in attentions:
        module.__class__ = MultiheadAttention
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for module in attentions:
            module.__class__ = nn.MultiheadAttention
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)


@contextmanager
def observing(tracer: Tracer, training: bool = False) -> Iterator[None]:
    """Put a model into evaluation (or training) mode under a tracer, and leave no trace of it."""
    anatomy = tracer.anatomy
    with ExitStack() as stack:
        stack.enter_context(as_found(anatomy.modules.values()))
        for module in anatomy.modules.values():
            module.training = training
        register = nn.modules.module
        stack.callback(register.register_module_forward_pre_hook(tracer.enter_module).remove)
        stack.callback(register.register_module_forward_hook(tracer.leave_module, always_call=True).remove)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.enter_context(uncompiled())
        stack.enter_context(plain_kernels(anatomy.modules.values()))
        run = partial(trace_opaque, tracer)
        stack.enter_context(opaque_modules(anatomy.modules.values(), tracer.own, run))
        stack.enter_context(tracer)
        stack.enter_context(traced_attributes(tracer, anatomy.modules.values()))
        stack.enter_context(SizeWatch(tracer))
        yield


def run_on_meta(tracer: Tracer, model: nn.Module, inputs: Inputs, training: bool = False) -> None:
    """Trace a model on the ``meta`` device: shapes only, nothing is computed or allocated."""
    anatomy = tracer.anatomy
    stand_ins: dict[int, Tensor] = {}
    for name, tensor in anatomy.tensors.items():
        if name in anatomy.buffers and not tensor.is_meta and not tensor.dtype.is_floating_point:
            stand_ins[id(tensor)] = copied(tensor)
            tracer.add_leaf(name, stand_ins[id(tensor)])
            continue
        stand_in = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        # How PyTorch multiplies depends on which tensor asks for gradients.
        stand_ins[id(tensor)] = stand_in.requires_grad_(tensor.requires_grad)
        tracer.add_leaf(name, stand_in)
    args, kwargs = copied(call_arguments(inputs))
    devices = [leaf.device for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    tracer.home = next((device for device in devices if device.type != "meta"), torch.device("cpu"))
    _add_inputs(tracer, (args, kwargs))
    with observing(tracer, training), anatomy.replaced(stand_ins):
        output = model(*args, **kwargs)
    _freeze_outputs(tracer, output)


def run_for_real(tracer: Tracer, model: nn.Module, inputs: Inputs, training: bool = False) -> None:
    """Trace a model on its own device with real values; buffers are put back as they were."""
    anatomy = tracer.anatomy
    for name, tensor in anatomy.tensors.items():
        tracer.add_leaf(name, tensor)
    args, kwargs = copied(call_arguments(inputs))
    _add_inputs(tracer, (args, kwargs))
    try:
        with values_kept(anatomy.buffers.values()), observing(tracer, training):
            output = model(*args, **kwargs)
    except NetsmithError:
        raise
    except Exception as error:
        failed = "runs, but cannot be traced" if _runs(model, inputs) else "does not run"
        raise TraceError(
            f"{type(model).__name__} {failed} on these inputs ({describe(inputs)}): "
            f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        ) from error
    _freeze_outputs(tracer, output)


def _runs(model: nn.Module, inputs: Inputs) -> bool:
    args, kwargs = call_arguments(inputs)
    try:
        with evaluating(model), torch.no_grad():
            model(*args, **kwargs)
    except Exception:
        return False
    return True


def describe(inputs: Inputs) -> str:
    """Return the shapes of inputs for an error message."""
    args, kwargs = call_arguments(inputs)
    parts = [_describe_one(value) for value in args]
    parts += [f"{name}={_describe_one(value)}" for name, value in kwargs.items()]
    return ", ".join(parts) or "no inputs"


def _describe_one(value: Any) -> str:
    return f"tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _add_inputs(tracer: Tracer, arguments: Any) -> None:
    for leaf in tree_flatten(arguments)[0]:
        if isinstance(leaf, Tensor):
            tracer.assign(leaf, tuple(fixed(size, FROM_INPUT) for size in leaf.shape))


def _freeze_outputs(tracer: Tracer, output: Any) -> None:
    for leaf in tensors_in(output):
        for dim in (*tracer.axes(leaf), tracer.pointers.of(leaf)):
            if dim is not None:
                tracer.freeze(dim, FROM_OUTPUT)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors of a model's output, also those that are attributes of it."""
    found = [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]
    if not found and hasattr(value, "__dict__"):
        found = [leaf for leaf in tree_flatten(dict(vars(value)))[0] if isinstance(leaf, Tensor)]
    return found
