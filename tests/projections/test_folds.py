from __future__ import annotations

import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.projections.folds import fold_weight, unfold_weight

KERNEL = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("fold", "shape", "place"),
    [
        ("channel", (2, 3, 20), lambda o, i, y, x: (o, i, 5 * y + x)),
        ("full", (2, 60), lambda o, i, y, x: (o, 20 * i + 5 * y + x)),
        ("partial", (8, 15), lambda o, i, y, x: (4 * o + y, 5 * i + x)),
        ("filter", (2, 20, 3), lambda o, i, y, x: (o, 5 * y + x, i)),
    ],
)
def test_every_entry_lands_where_the_table_says_and_returns(fold, shape, place) -> None:
    folded, batch_dims = fold_weight(KERNEL, fold)
    assert folded.shape == shape
    assert batch_dims == (fold == "filter")
    for index in torch.cartesian_prod(*map(torch.arange, KERNEL.shape)).tolist():
        assert folded[place(*index)] == KERNEL[tuple(index)]
    assert torch.equal(unfold_weight(folded, fold, KERNEL), KERNEL)


@pytest.mark.parametrize("fold", ["channel", "full", "partial", "filter"])
def test_leading_batch_dimensions_are_kept_apart(fold: str) -> None:
    batch = torch.stack([KERNEL, -KERNEL, 2 * KERNEL])
    folded, batch_dims = fold_weight(batch, fold, 1)
    assert batch_dims == 1 + (fold == "filter")
    for one, kernel in zip(folded, batch, strict=True):
        assert torch.equal(one, fold_weight(kernel, fold)[0])
    assert torch.equal(unfold_weight(folded, fold, batch), batch)


@pytest.mark.parametrize(
    ("fold", "shape"), [("partial", (2, 3)), ("partial", (2, 3, 4)), ("filter", (2, 3)), ("full", (2,))]
)
def test_shape_that_does_not_fit(fold: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        NetsmithError, match=rf"fold '{fold}' does not fit a weight of shape .*choose another fold"
    ):
        fold_weight(torch.zeros(shape), fold)
