"""A model as the program it runs, with every size that its code bakes in as an attribute that can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from netsmith.calling import call
from netsmith.closeness import relative_difference, tolerance
from netsmith.contracts import Inputs
from netsmith.edits.copying import copy_with
from netsmith.errors import EditError, NetsmithError
from netsmith.files.inputs import batch_shapes, batch_size, example
from netsmith.files.quiet import quiet
from netsmith.graph.running import tensors_in
from netsmith.modes import drawing_alike, evaluating
from netsmith.wrappers import network

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

SIZES = {
    **dict.fromkeys(
        ("view", "reshape", "expand", "repeat", "new_zeros", "new_ones", "new_empty", "new_full"), 1
    ),
    **dict.fromkeys(("zeros", "ones", "empty", "full"), 0),
    **dict.fromkeys(("split", "split_with_sizes", "group_norm", "layer_norm"), 1),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), 6),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 6),
    "unflatten": 2,
}
"""Operators that are given sizes, and at which position."""


def as_program(model: nn.Module, inputs: Inputs) -> GraphModule:
    """Return what a model computes in evaluation mode as a program whose sizes are attributes.

    Where a model's own code writes its sizes down (``x.view(-1, 768)``), only an edit of the code could mend
    them, so what they size is frozen. ``torch.export`` turns the code into a graph of operators; here its
    literal sizes become integer attributes of the graph's module, which a cut mends like any other attribute.

    Args:
        model: a module that ``torch.export`` can express; untouched.
        inputs: as for :func:`netsmith.trace`; the first dimension varies where it is the batch, every other
            size of the inputs is fixed from then on.

    Returns:
        An ordinary ``torch.fx.GraphModule`` with parameters and buffers of the same names. It always computes
        what the model computes in evaluation mode, also while it is trained.

    Raises:
        EditError: ``torch.export`` cannot express the model, or the program computes something else.

    Example:
        >>> class Net(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a, self.b = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)
        ...     def forward(self, x):
        ...         return self.b(self.a(x).view(-1, 2, 4).softmax(-2).view(-1, 8))
        >>> as_program(Net(), torch.zeros(2, 4)).view_1_size_1
        8
    """
    from torch.fx import GraphModule

    model = network(model)
    try:
        with quiet(), torch.no_grad(), evaluating(model):
            arguments = example(model, inputs)
            shapes = batch_shapes(model, arguments, torch.export.Dim.AUTO) if batch_size(arguments) else None
            exported = torch.export.export(model, *arguments, dynamic_shapes=shapes).module()
    except NetsmithError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise EditError(f"torch.export cannot express {type(model).__name__}: {first}") from error
    graph = exported.graph
    for node in list(graph.nodes):
        if node.op == "call_module":  # checks that the inputs are as they were, and nothing else
            graph.erase_node(node)
        elif node.op == "call_function":
            _open(exported, node)
    shared = GraphModule(exported, graph, type(model).__name__)
    program = copy_with(shared, shared.modules(), {})
    assert isinstance(program, GraphModule)
    _check_same(program, model, inputs)
    return program


def _open(module: nn.Module, node: Node) -> None:
    """Put attributes in the place of the sizes that an operator is given."""
    packet = getattr(node.target, "overloadpacket", None)
    position = SIZES.get(getattr(packet, "__name__", ""))
    if position is None or len(node.args) <= position:
        return
    given = node.args[position]
    sizes = list(given) if isinstance(given, (list, tuple)) else [given]
    for place, size in enumerate(sizes):
        if type(size) is int and size > 1:
            name = f"{node.name}_size_{place}"
            setattr(module, name, size)
            with node.graph.inserting_before(node):
                sizes[place] = node.graph.create_node("get_attr", name)
    args: list[Any] = list(node.args)
    args[position] = sizes if isinstance(given, (list, tuple)) else sizes[0]
    node.args = tuple(args)


def _check_same(program: nn.Module, model: nn.Module, inputs: Inputs) -> None:
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        return
    outputs = []
    for one in (model, program):
        with torch.no_grad(), evaluating(one), drawing_alike():
            outputs.append(tensors_in(call(one, inputs)))
    for want, got in zip(*outputs, strict=True):
        difference = relative_difference(got, want)
        if not difference <= tolerance(want.dtype):
            raise EditError(
                f"the program of {type(model).__name__} differs from the model by {difference:.2g} "
                "(relative); it has to be cut in the form it is in"
            )
