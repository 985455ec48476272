from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netsmith.files.tensors import check_storable, describe_tensors, restore_tensors
from netsmith.files.values import UnstorableError


def there_and_back(*tensors: Tensor) -> list[Tensor]:
    return restore_tensors(*describe_tensors([(f"t{i}", tensor) for i, tensor in enumerate(tensors)]))


def raw(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3),
        torch.tensor([float("nan"), -0.0, float("inf")]),
        torch.randn(3).bfloat16(),
        torch.ones(2, dtype=torch.complex128),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(4, 3).t(),
        torch.randn(10)[2:5],
        torch.arange(3).expand(2, 3),
        torch.empty(0, 4),
        torch.tensor(7),
        torch.tensor([True, False]),
    ],
    ids=[
        "plain", "special values", "bfloat16", "complex", "channels_last", "transposed", "slice", "expanded",
        "empty", "scalar", "bool",
    ],
)  # fmt: skip
def test_every_bit_comes_back(tensor: Tensor) -> None:
    [back] = there_and_back(tensor)
    assert (back.dtype, back.shape, raw(back)) == (tensor.dtype, tensor.shape, raw(tensor))


def test_layout_and_gradient_flags_come_back() -> None:
    weight = nn.Parameter(torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), requires_grad=False)
    [back, free] = there_and_back(weight, torch.ones(2, requires_grad=True))
    assert isinstance(back, nn.Parameter)
    assert not back.requires_grad
    assert back.stride() == weight.stride()
    assert free.requires_grad
    assert not isinstance(free, nn.Parameter)


def test_shared_memory_stays_shared() -> None:
    base = torch.arange(100.0)
    first, second, whole = base[50:56].view(2, 3), base[53:60:2], torch.arange(3.0)
    a, b, c = there_and_back(first, second, whole)
    assert torch.equal(a, first)
    assert torch.equal(b, second)
    a.zero_()
    assert b.tolist() == [0, 0, 57, 59]
    assert c.tolist() == [0, 1, 2]
    assert a.untyped_storage().nbytes() < 64


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(3).to_sparse(), torch.empty(2, device="meta"), nn.UninitializedParameter()],
    ids=["sparse", "meta", "lazy"],
)
def test_what_is_not_a_dense_tensor_is_refused(tensor: Tensor) -> None:
    with pytest.raises(UnstorableError, match=r"not dense|without values"):
        check_storable(tensor)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 2]}, {"shape": [-1]}, {"shape": [True]}, {"dtype": "torch.int32"},
        {"dtype": "torch.load"}, {"key": "other"}, {"stride": [1, 1]}, {"stride": [1 << 60, 1]},
        {"offset": 0, "stride": [1, 1]},
    ],
)  # fmt: skip
def test_an_entry_that_does_not_fit_its_content_is_refused(change: dict[str, Any]) -> None:
    [entry], content = describe_tensors([("a", torch.randn(2, 3))])
    with pytest.raises((ValueError, LookupError)):
        restore_tensors([entry | change], content)


def test_a_view_beyond_its_memory_is_refused() -> None:
    base = torch.zeros(8)
    entries, content = describe_tensors([("a", base[:4]), ("b", base[4:])])
    assert restore_tensors(entries, content)[1].tolist() == [0, 0, 0, 0]
    for change in ({"offset": 5}, {"shape": [5]}, {"stride": [2]}, {"offset": -1}):
        with pytest.raises(ValueError, match=r"beyond the memory|where a count"):
            restore_tensors([entries[0], entries[1] | change], content)
