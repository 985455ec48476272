"""Edits taken back: structure, values, and records."""

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits import remove, split, undo, widen
from netsmith.errors import EditError

X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.LayerNorm(6), nn.Sigmoid(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)
    ).double()


def same(a, b):
    assert not ns.diff(a, b)
    for name, value in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[name], value, rtol=1e-14, atol=1e-15)


KEEP = {"0.weight:0": torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.bool)}
EDITS = {
    "remove": lambda model, graph: remove(model, graph, KEEP),
    "split": lambda model, graph: split(model, graph, {"0.weight:0": range(6), "3.weight:0": {1: 3}}),
    "widen": lambda model, graph: widen(model, graph, {"3.weight:0": 9}),
}


@pytest.mark.parametrize("kind", EDITS)
def test_undone_is_as_before(kind):
    model = make()
    edited, _ = EDITS[kind](model, ns.trace(model, X))
    before = {name: value.clone() for name, value in edited.state_dict().items()}
    undone = undo(edited, model)
    same(model, undone)
    assert ns.records(undone) == []
    assert all(torch.equal(before[name], value) for name, value in edited.state_dict().items())


def test_kept_slices_keep_their_present_values():
    model = make()
    small, _ = remove(model, ns.trace(model, X), KEEP)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.mul_(2)
    undone = undo(small, model)
    kept = KEEP["0.weight:0"]
    assert torch.equal(undone[0].weight[kept], small[0].weight)
    assert torch.equal(undone[0].weight[~kept], model[0].weight[~kept])
    assert torch.equal(undone[3].weight[:, kept], small[3].weight)
    assert undone[1].normalized_shape == (6,)


def test_offsets_are_taken_back():
    model = make()
    offsets = {"3.weight": torch.randn(2, 5, 6, dtype=torch.float64)}
    edited, _ = split(model, ns.trace(model, X), {"3.weight:0": [0, 4]}, offsets=offsets)
    same(model, undo(edited))


def test_copies_that_drifted_apart_are_averaged_and_their_readers_added():
    model = make()
    edited, _ = split(model, ns.trace(model, X), {"3.weight:0": [1]})
    with torch.no_grad():
        edited[3].bias[1] += 1.0
        edited[5].weight[:, 2] += 3.0
    undone = undo(edited)
    torch.testing.assert_close(undone[3].bias[1], model[3].bias[1] + 0.5)
    torch.testing.assert_close(undone[5].weight[:, 1], model[5].weight[:, 1] + 3.0)


def test_several_steps_in_their_order():
    model = make()
    stages = [model]
    for change in ("split", "remove", "widen"):
        graph = ns.trace(stages[-1], X)
        size = graph.group("0.weight:0").size
        if change == "remove":
            stages.append(remove(stages[-1], graph, {"0.weight:0": torch.arange(size) % 3 > 0})[0])
        elif change == "split":
            stages.append(split(stages[-1], graph, {"0.weight:0": range(size)})[0])
        else:
            stages.append(widen(stages[-1], graph, {"3.weight:0": 8})[0])
    for steps in (1, 2, 3):
        undone = undo(stages[-1], model, steps=steps)
        same(stages[-1 - steps], undone)
        assert ns.records(undone) == ns.records(stages[-1 - steps])


@pytest.mark.parametrize("steps", [0, 2, -1, 1.5, True])
def test_steps_that_were_not_made_cannot_be_undone(steps):
    model = make()
    edited, _ = split(model, ns.trace(model, X), {"3.weight:0": [1]})
    if steps is True:
        steps = "1"
    with pytest.raises(EditError, match="cannot undo"):
        undo(edited, steps=steps)


def test_a_removal_needs_the_original():
    model = make()
    small, _ = remove(model, ns.trace(model, X), KEEP)
    with pytest.raises(EditError, match="needs original="):
        undo(small)
    with pytest.raises(EditError, match="from before the edits"):
        undo(small, split(model, ns.trace(model, X), {"3.weight:0": [1]})[0])
    with pytest.raises(EditError, match="no parameter or buffer"):
        undo(small, nn.Linear(2, 2))


@pytest.mark.parametrize("edit", ["remove", "widen"])
def test_an_attention_is_pytorchs_own_again(edit):
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True).double().eval()
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    graph = ns.trace(model, x)
    name = next(g.name for g in graph.groups if g.size == 4)
    if edit == "remove":
        edited, _ = remove(model, graph, {name: torch.tensor([True, False, True, True])})
    else:
        edited, _ = widen(model, graph, {name: 5})
    assert type(edited.self_attn) is not nn.MultiheadAttention
    undone = undo(edited, model)
    assert type(undone.self_attn) is nn.MultiheadAttention
    same(model, undone)
    torch.testing.assert_close(undone(x), model(x))
