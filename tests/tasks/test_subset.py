from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsmith.errors import DataError
from netsmith.tasks.subset import balanced

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def slow_balanced(labels: list[int], size: int) -> list[int]:
    """Deal out round by round, as the docstring says."""
    left = list(range(len(labels)))
    taken: list[int] = []
    while left:
        classes: set[int] = set()
        for index in list(left):
            if labels[index] not in classes:
                classes.add(labels[index])
                left.remove(index)
                taken.append(index)
    return sorted(taken[:size])


@given(LABELS, st.data())
def test_equals_dealing_out_in_rounds(labels: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(labels)))
    assert balanced(torch.tensor(labels), size).tolist() == slow_balanced(labels, size)


@given(st.integers(1, 40))
def test_counts_differ_by_at_most_one(size: int) -> None:
    labels = torch.arange(4).repeat_interleave(10)
    counts = labels[balanced(labels, size)].bincount(minlength=4)
    assert counts.sum() == size
    assert counts.max() - counts.min() <= 1


def test_none_keeps_all() -> None:
    assert balanced(torch.tensor([1, 1, 0]), None).tolist() == [0, 1, 2]


@pytest.mark.parametrize("size", [-1, 0, 4])
def test_impossible_size(size: int) -> None:
    with pytest.raises(DataError, match=f"subset of {size} examples was asked for; give a size from 1 to 3"):
        balanced(torch.tensor([0, 1, 2]), size)
