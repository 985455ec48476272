"""Copying channels of a dimension: the order of the new indices, against the tensors themselves."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsmith.graph.copying import copied


def test_a_plain_dimension_copies_each_channel_after_itself():
    index, numbers = copied(np.arange(3)[:, None], np.array([1, 3, 2, 1]))
    assert index.tolist() == [0, 1, 1, 1, 2, 2]
    assert numbers[:, 0].tolist() == [0, 0, 1, 2, 0, 1]


def test_a_block_is_copied_as_a_block():
    rows = np.repeat(np.arange(2), 3)[:, None]
    index, _ = copied(rows, np.array([2, 1, 1]))
    assert index.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5]


def test_what_nobody_owns_is_there_once():
    rows = np.array([[3], [0], [3], [1]])
    index, _ = copied(rows, np.array([2, 2, 1, 1]))
    assert index.tolist() == [0, 1, 1, 2, 3, 3]


counts = st.lists(st.integers(1, 3), min_size=2, max_size=4)


@given(outer=counts, middle=counts, inner=counts, swap=st.booleans())
def test_products_are_copied_factor_by_factor(outer, middle, inner, swap):
    """A flattened tensor of three copied dimensions is the copied flattened tensor."""
    sizes = [len(outer), len(middle), len(inner)]
    flat = torch.arange(int(np.prod(sizes))).reshape(sizes)
    expected = flat
    for dim, repeats in enumerate((outer, middle, inner)):
        expected = expected.repeat_interleave(torch.tensor(repeats), dim=dim)
    first = np.cumsum([0, *sizes])
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij"), axis=-1).reshape(-1, 3)
    rows = grid + first[:3]
    index, numbers = copied(rows[:, ::-1] if swap else rows, np.array([*outer, *middle, *inner, 1]))
    assert index.tolist() == expected.reshape(-1).tolist()
    order = (2, 1, 0) if swap else (0, 1, 2)
    for column, factor in enumerate(order):
        limit = np.array((outer, middle, inner)[factor])[grid[index, factor]]
        assert (numbers[:, column] < limit).all()
