from __future__ import annotations

import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.sparsity import global_masks, layer_masks

SCORES = {"a": torch.tensor([[5.0, 1.0], [1.0, 1.0]]), "b": torch.tensor([4.0, 0.0])}


@pytest.mark.parametrize("density", [0.01, 0.3, 0.5, 0.84, 1.0])
def test_exactly_as_many_as_asked_also_among_equal_scores(density: float) -> None:
    scores = {"a": torch.zeros(40, 5), "b": torch.zeros(10)}
    masks = global_masks(scores, density)
    assert sum(int(mask.sum()) for mask in masks.values()) == round(210 * density)


def test_the_highest_of_all_survive_and_first_ones_of_equal() -> None:
    masks = global_masks(SCORES, 0.5)
    assert masks["a"].tolist() == [[True, True], [False, False]]
    assert masks["b"].tolist() == [True, False]


def test_each_layer_keeps_its_own_count() -> None:
    masks = layer_masks(SCORES, {"a": 1, "b": 2})
    assert masks["a"].tolist() == [[True, False], [False, False]]
    assert masks["b"].all()


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="density is 0; expected"):
        global_masks(SCORES, 0)
    with pytest.raises(NetsmithError, match="hold NaN"):
        global_masks({"a": torch.tensor([1.0, float("nan")])}, 0.5)
    with pytest.raises(NetsmithError, match="b has 2 weights and is to keep 3"):
        layer_masks(SCORES, {"a": 1, "b": 3})
    with pytest.raises(NetsmithError, match="is to keep None"):
        layer_masks(SCORES, {"a": 1})
