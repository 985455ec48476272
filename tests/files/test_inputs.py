from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsmith.errors import FileError
from netsmith.files.inputs import batch_shapes, batch_size, bind, example, fresh, with_batch


class Two(nn.Module):
    def forward(self, a: Tensor, b: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        return a * scale


def test_keyword_arguments_take_the_order_of_the_signature() -> None:
    a, b = torch.ones(3, 2), torch.ones(4)
    args, kwargs = bind(Two(), {"scale": 2.0, "b": b, "a": a})
    assert (args, list(kwargs)) == ((), ["a", "b", "scale"])
    assert batch_size((args, kwargs)) == 3
    assert batch_shapes(Two(), (args, kwargs), "n") == {"a": {0: "n"}, "b": None, "scale": None}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([torch.ones(1)], "inputs is a list, expected"),
        ({"c": 1}, "do not fit Two.forward"),
        ((), "do not fit"),
    ],
)
def test_other_inputs_are_refused(inputs: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        bind(Two(), inputs)


def test_only_the_batch_is_resized() -> None:
    x, table = torch.arange(6).view(3, 2), torch.ones(2, 3)
    wide, same = with_batch((x, table), 7)
    assert wide.tolist() == [[0, 1], [2, 3], [4, 5]] * 2 + [[0, 1]]
    assert same is table
    assert example(nn.Identity(), torch.ones(1, 4))[0][0].shape == (2, 4)


def test_fresh_inputs_stay_in_the_range_of_the_examples_and_leave_the_random_state() -> None:
    ids, x, flat = torch.tensor([3, 5, 9, 11]), torch.rand(50), torch.zeros(50)
    before = torch.get_rng_state()
    new_ids, new_x, new_flat = fresh((ids, x, flat), torch.Generator().manual_seed(0))
    assert set(new_ids.tolist()) <= set(ids.tolist())
    assert set(new_x.tolist()) <= set(x.tolist())
    assert not torch.equal(new_x, x)
    assert new_flat.std() > 0
    assert torch.equal(before, torch.get_rng_state())
