"""Low rank: one layer becomes two thinner ones by a truncated singular value decomposition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.edits.substitution import (
    carry_out,
    check_plain,
    check_unshared,
    double,
    module_at,
    parameter_like,
    put,
)  # fmt: skip
from netsmith.errors import EditError
from netsmith.graph.traced_attributes import is_torch_module
from netsmith.wrappers import unwrapped


def factorise(
    model: nn.Module,
    module_path: str,
    *,
    rank: int | None = None,
    energy: float | None = None,
    inplace: bool = False,
) -> tuple[nn.Module, list[Record]]:
    """Replace a layer by two of rank ``r`` between them, the best approximation of its weight of that rank.

    A linear layer becomes ``[in -> r]`` without bias, then ``[r -> out]``. A convolution of any number of
    dimensions becomes one with the same kernel, stride and padding to ``r`` channels, then one of kernel 1
    with the bias (Denton et al. 2014, arXiv:1404.0736; Zhang et al. 2016, arXiv:1505.06798); a transposed
    one has the kernel of 1 first. The weight is taken as a matrix of output channels × (input channels ×
    kernel), transposed input channels × (output channels × kernel), and truncated in the Frobenius norm
    (Eckart and Young, 1936); at full rank the output is the same.

    Args:
        model: any module; untouched unless ``inplace``.
        module_path: a Linear or a (transposed) convolution of one group.
        rank: r, from 1 to the smaller side of that matrix.
        energy: instead of a rank, the share of the squared singular values to keep, in (0, 1].
        inplace: edit ``model`` itself.

    Returns:
        The edited model, with an ``nn.Sequential`` of two layers in the layer's place, and its records.

    Raises:
        EditError: not such a layer (shared, grouped, parametrized or hooked ones cannot be), or a rank or
            energy that makes no sense.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU())
        >>> ns.edits.factorise(net, "0", rank=4)[0][0]
        Sequential(
          (0): Linear(in_features=64, out_features=4, bias=False)
          (1): Linear(in_features=4, out_features=32, bias=True)
        )
    """
    model = unwrapped(model)
    module = _factorisable(model, module_path)
    if (rank is None) == (energy is None):
        raise EditError(
            "factorise needs either rank=(a whole number) or energy=(a share of squared singular values)"
        )
    full = min(_matrix(module).shape)
    if rank is None:
        rank = _rank_of(_matrix(module), energy or 0.0)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= full:
        raise EditError(f"rank={rank!r} of module {module_path!r} must be a whole number from 1 to {full}")
    renamed = {f"{module_path}.bias": f"{module_path}.1.bias"} if module.bias is not None else {}
    weights = [f"{module_path}.0.weight", f"{module_path}.1.weight"]
    record = {
        "kind": "factorise",
        "module": module_path,
        "rank": rank,
        "renamed": renamed,
        "replaced": {f"{module_path}.weight": weights},
    }
    return carry_out(model, record, apply_record, inplace=inplace)


def apply_record(model: nn.Module, record: Record) -> None:
    """Factorise the layer that a record names."""
    path, rank = record["module"], record["rank"]
    module = _factorisable(model, path)
    left, singular, right = torch.linalg.svd(_matrix(module), full_matrices=False)
    if not 1 <= rank <= len(singular):
        raise EditError(f"rank {rank} does not fit module {path!r}; the record was made on another model")
    root = singular[:rank].sqrt()
    put(model, path, _pair(module, left[:, :rank] * root, root[:, None] * right[:rank]))


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Multiply the two layers back into one, with the values they have now."""
    path, pair = record["module"], module_at(model, record["module"])
    if not isinstance(pair, nn.Sequential) or len(pair) != 2:
        raise EditError(f"module {path!r} is not the pair of layers that factorise made")
    put(model, path, _one(*pair))


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    return f"factorise {record['module']} at rank {record['rank']}"


KIND = Kind(apply_record, invert_record, describe_record)


def _factorisable(model: nn.Module, path: str) -> Any:
    module = module_at(model, path)
    plain = isinstance(module, (nn.Linear, _ConvNd)) and is_torch_module(module)
    if not plain or isinstance(module, nn.modules.lazy.LazyModuleMixin):
        raise EditError(
            f"module {path!r} is a {type(module).__name__}; expected a Linear or a convolution of torch.nn"
        )
    if isinstance(module, _ConvNd) and module.groups != 1:
        raise EditError(f"module {path!r} has {module.groups} groups; only one of a single group can go")
    parent = module_at(model, path.rpartition(".")[0]) if "." in path else model
    if isinstance(parent, nn.MultiheadAttention):
        raise EditError(f"module {path!r} is read by the attention around it without being called")
    check_plain(path, module)
    check_unshared(model, path, module)
    return module


def _matrix(module: Any) -> Tensor:
    """Return a layer's weight as the matrix that is decomposed, in double precision."""
    return double(module.weight).flatten(1)


def _rank_of(matrix: Tensor, energy: float) -> int:
    if not 0 < energy <= 1:
        raise EditError(f"energy={energy} must be a share of the squared singular values, in (0, 1]")
    squared = torch.linalg.svdvals(matrix) ** 2
    share = squared.cumsum(0) / squared.sum().clamp_min(torch.finfo(torch.float64).tiny)
    enough = share >= energy * (1 - 1e-12)
    return int(enough.int().argmax()) + 1 if bool(enough.any()) else len(squared)


def _pair(module: Any, left: Tensor, right: Tensor) -> nn.Sequential:
    """Return the two layers whose product, ``left @ right``, is a layer's weight."""
    rank, options = len(right), {"bias": False, "device": "meta", "dtype": module.weight.dtype}
    thin = getattr(nn, type(module).__name__.replace("Transpose", ""))
    if isinstance(module, nn.Linear):
        first: Any = thin(module.in_features, rank, **options)
        second: Any = thin(rank, module.out_features, **options)
    elif isinstance(module, _ConvTransposeNd):
        first = thin(module.in_channels, rank, 1, **options)
        second = _same_kernel(module, rank, module.out_channels)
        left, right = right, left.T
    else:
        first = _same_kernel(module, module.in_channels, rank)
        second = thin(rank, module.out_channels, 1, **options)
    first.weight = parameter_like(right.reshape(first.weight.shape), module.weight)
    second.weight = parameter_like(left.reshape(second.weight.shape), module.weight)
    second.bias = module.bias
    return nn.Sequential(first, second)


def _same_kernel(module: Any, inputs: int, outputs: int) -> Any:
    """Return a convolution like another, but for its channels and without a bias."""
    extra = {"output_padding": module.output_padding} if isinstance(module, _ConvTransposeNd) else {}
    return type(module)(
        inputs,
        outputs,
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        padding_mode=module.padding_mode,
        bias=False,
        device="meta",
        dtype=module.weight.dtype,
        **extra,
    )


def _one(first: Any, second: Any) -> Any:
    """Return the layer that two factors make together."""
    left, right = double(second.weight).flatten(1), double(first.weight).flatten(1)
    if isinstance(first, nn.Linear):
        one: Any = nn.Linear(first.in_features, second.out_features, bias=False, device="meta")
    elif isinstance(second, _ConvTransposeNd):
        one = _same_kernel(second, first.in_channels, second.out_channels)
        left, right = right.T, left
    else:
        one = _same_kernel(first, first.in_channels, second.out_channels)
    one.weight = parameter_like((left @ right).reshape(one.weight.shape), first.weight)
    one.bias = second.bias
    return one
