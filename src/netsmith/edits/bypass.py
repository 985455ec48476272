"""Depth: whole residual blocks and layers go, and what went into them comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from netsmith.contracts import Inputs
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.edits.substitution import (
    bring_back,
    carry_out,
    check_plain,
    check_unshared,
    module_at,
    names_below,
    put,
)  # fmt: skip
from netsmith.errors import EditError
from netsmith.graph.blocks import Block, block_at
from netsmith.layers.pass_through import PassThrough
from netsmith.wrappers import unwrapped

PLAIN = (bool, int, float, str)


def bypass(
    model: nn.Module, blocks: Iterable[Block | str], inputs: Inputs | None = None, *, inplace: bool = False
) -> tuple[nn.Module, list[Record]]:
    """Take residual blocks out of a model: each becomes a :class:`netsmith.layers.PassThrough`.

    The result equals the original in which the branches of these blocks contribute nothing, so that each
    gives back its input; their parameters are gone. What Python reads off the block (numbers, strings) stays
    readable, and the tuple that its caller unpacks keeps its form.

    Args:
        model: the model that the blocks were found in; untouched unless ``inplace``.
        blocks: from :func:`netsmith.graph.blocks`, or paths of modules, for which ``inputs`` are needed.
        inputs: what the model is called with, to prove that the modules at these paths are blocks.
        inplace: edit ``model`` itself.

    Returns:
        The edited model and its records.

    Raises:
        EditError: a module is no residual block (says why), or lies inside another one given.

    Example:
        >>> import torch, netsmith as ns
        >>> net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 32, 32))
        >>> shallow, _ = ns.edits.bypass(net, ["stage2.1", "stage3.2"], torch.zeros(1, 3, 32, 32))
        >>> shallow.stage2[1]
        PassThrough(returns=0)
    """
    model = unwrapped(model)
    chosen = [_block(model, block, inputs) for block in blocks]
    record: dict[str, Any] = {
        "kind": "bypass",
        "blocks": {block.name: block.returns for block in chosen},
        "replaced": {n: [] for b in chosen for n in names_below(b.name, module_at(model, b.name))},
    }
    return carry_out(model, record, apply_record, inplace=inplace)


def _block(model: nn.Module, block: Block | str, inputs: Inputs | None) -> Block:
    if isinstance(block, Block):
        return block
    if inputs is None:
        raise EditError(f"bypass needs inputs to prove that {block!r} is a block; or give ns.graph.blocks")
    return block_at(model, inputs, block)


def apply_record(model: nn.Module, record: Record) -> None:
    """Put pass-through modules in the place of the blocks that a record names."""
    paths = list(record["blocks"])
    for path in paths:
        outer = next((other for other in paths if path.startswith(f"{other}.")), None)
        if outer is not None:
            raise EditError(f"block {path!r} lies inside block {outer!r}; bypass one of them")
        module = module_at(model, path)
        check_plain(path, module)
        check_unshared(model, path, module)
    for path, returns in record["blocks"].items():
        put(model, path, _pass_through(module_at(model, path), returns))


def _pass_through(module: nn.Module, returns: Any) -> PassThrough:
    """Return a pass-through that still answers for the plain attributes callers may read off a block."""
    through = PassThrough(returns)
    for name, value in vars(module).items():
        if name[:1] != "_" and name not in vars(through) and isinstance(value, PLAIN):
            through.__dict__[name] = value
    return through


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Put the blocks back with the weights they had."""
    bring_back(model, before, record["blocks"])


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    return f"bypass {len(record['blocks'])} blocks: {', '.join(record['blocks'])}"


KIND = Kind(apply_record, invert_record, describe_record)
