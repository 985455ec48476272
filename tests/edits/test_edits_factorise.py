"""Factorising: the best approximation of its rank, exact at full rank, and layers multiplied back."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import netsmith as ns
from netsmith.edits.factorise import apply_record, invert_record
from netsmith.errors import EditError

LAYERS = {
    "linear": (lambda: nn.Linear(12, 9), (5, 12)),
    "linear-no-bias": (lambda: nn.Linear(4, 9, bias=False), (2, 5, 4)),
    "conv1d": (lambda: nn.Conv1d(3, 8, 5, stride=2, padding=2, padding_mode="circular"), (2, 3, 11)),
    "conv2d": (lambda: nn.Conv2d(3, 8, (3, 5), padding="same", dilation=2), (2, 3, 9, 9)),
    "conv3d": (lambda: nn.Conv3d(2, 5, 2, stride=(1, 2, 1), bias=False), (1, 2, 5, 5, 5)),
    "transposed": (
        lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1),
        (2, 6, 5, 5),
    ),
}


def made(name, seed=0):
    torch.manual_seed(seed)
    layer, shape = LAYERS[name]
    return nn.Sequential(layer(), nn.Tanh()).double().eval(), torch.randn(shape, dtype=torch.float64)


def matrix(weight):
    return weight.detach().flatten(1)


@pytest.mark.parametrize("name", LAYERS)
def test_full_rank_is_exact(name):
    model, x = made(name)
    rank = min(matrix(model[0].weight).shape)
    split, records = ns.edits.factorise(model, "0", rank=rank)
    torch.testing.assert_close(split(x), model(x), rtol=1e-10, atol=1e-10)
    assert ns.records(split) == records == json.loads(json.dumps(records))
    assert isinstance(model[0], type(LAYERS[name][0]()))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_truncation_is_the_best_of_its_rank(name, rank):
    """The product of the factors is torch's truncated SVD; what is lost is the rest of the spectrum."""
    model, _ = made(name)
    split, _ = ns.edits.factorise(model, "0", rank=rank)
    u, s, v = torch.linalg.svd(matrix(model[0].weight), full_matrices=False)
    first, second = split[0]
    left, right = matrix(second.weight), matrix(first.weight)
    product = right.T @ left if name == "transposed" else left @ right
    torch.testing.assert_close(product, u[:, :rank] * s[:rank] @ v[:rank])
    lost = (matrix(model[0].weight) - product).norm()
    torch.testing.assert_close(lost, s[rank:].norm())


@settings(max_examples=20, deadline=None)
@given(energy=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_energy_takes_the_smallest_rank_that_keeps_it(energy, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(9, 7)).double()
    rank = ns.edits.factorise(model, "0", energy=energy)[1][0]["rank"]
    squared = torch.linalg.svdvals(model[0].weight.detach()) ** 2
    share = squared.cumsum(0) / squared.sum()
    assert share[rank - 1] >= energy * (1 - 1e-9)
    assert rank == 1 or share[rank - 2] < energy


@pytest.mark.parametrize("name", LAYERS)
def test_replay_and_multiplying_back(name):
    model, x = made(name)
    split, records = ns.edits.factorise(model, "0", rank=2)
    again = ns.replay(made(name)[0], records)
    assert str(again) == str(split)
    assert torch.equal(again(x), split(x))
    other = made(name, seed=1)[0]
    apply_record(other, records[0])
    expected = other(x)
    invert_record(other, records[0], None)
    assert str(other) == str(model)
    torch.testing.assert_close(other(x), expected, rtol=1e-10, atol=1e-10)


def test_mode_precision_and_gradient_settings_are_kept():
    model = nn.Sequential(nn.Linear(6, 5)).half().eval()
    model[0].weight.requires_grad_(False)
    split, _ = ns.edits.factorise(model, "0", rank=2, inplace=True)
    assert split is model
    assert not split.training
    assert not split[0].training
    assert [p.dtype for p in split.parameters()] == [torch.float16] * 3
    assert [p.requires_grad for p in split.parameters()] == [False, False, True]


def test_a_shared_module_is_replaced_wherever_it_stands():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    split, _ = ns.edits.factorise(model, "0", rank=4)
    assert split[0] is split[2]
    torch.testing.assert_close(split(torch.ones(1, 4)), model(torch.ones(1, 4)))


def tied():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    ("model", "path", "options", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4)), "0", {}, "either rank"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "0", {"rank": 2, "energy": 0.5}, "either rank"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "0", {"rank": 5}, "from 1 to 4"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "0", {"rank": 2.0}, "whole number"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "0", {"energy": 1.5}, "share"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "1", {"rank": 2}, "path of a module"),
        (lambda: nn.Linear(4, 4), "", {"rank": 2}, "the model itself"),
        (lambda: nn.Sequential(nn.BatchNorm1d(4)), "0", {"rank": 2}, "BatchNorm1d; expected a Linear"),
        (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "0", {"rank": 2}, "2 groups"),
        (lambda: nn.MultiheadAttention(4, 2), "out_proj", {"rank": 2}, "without being called"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "", {"rank": 2}, "itself"),
        (
            lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))),
            "0",
            {"rank": 2},
            "parametrized",
        ),
        (tied, "1", {"rank": 2}, "shares a parameter with 0"),
    ],
)
def test_mistakes_are_named_and_leave_the_model_whole(model, path, options, message):
    model = model()
    before = str(model)
    with pytest.raises(EditError, match=message):
        ns.edits.factorise(model, path, **options, inplace=True)
    assert str(model) == before
    assert ns.records(model) == []


def test_a_hook_would_be_lost():
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(EditError, match="hooks"):
        ns.edits.factorise(model, "0", rank=2)
