"""Every exported score keeps the contract: one finite tensor per group, and everything left as found."""

import contextlib

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.contracts import Score

X = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))

MAKERS = {
    "InformationGain": lambda: ns.scores.InformationGain(X),
    "LinearDependency": lambda: ns.scores.LinearDependency(),
    "MajorityVoting": lambda: ns.scores.MajorityVoting(),
    "Random": lambda: ns.scores.Random(torch.Generator().manual_seed(0)),
    "Shapley": lambda: ns.scores.Shapley(coalitions=2),
    "SynFlow": lambda: ns.scores.SynFlow(X),
    "grasp": lambda: ns.scores.grasp,
    "magnitude": lambda: ns.scores.magnitude,
    "movement": lambda: ns.scores.movement,
    "snip": lambda: ns.scores.snip,
    "taylor": lambda: ns.scores.taylor,
    "wanda": lambda: ns.scores.wanda,
}


def make_model():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(8, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4),
    )  # fmt: skip
    model[1].eval()
    model(X).sum().backward()
    model[7].weight.requires_grad_(False)
    return model


def fingerprint(model):
    return {
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "gradients": {
            name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
        },
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "identities": [id(p) for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "hooks": [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
            for m in model.modules()
        ],
        "random": torch.random.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
    }


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def test_every_member_is_tried():
    assert sorted(MAKERS) == sorted(ns.scores.__all__)


@pytest.mark.parametrize("name", MAKERS)
def test_one_finite_tensor_per_group_and_all_as_found(name):
    model, score = make_model(), MAKERS[name]()
    graph = ns.trace(model, X)
    before = fingerprint(model)
    values = score(model, lambda m: m(X).square().mean(), graph)
    assert isinstance(score, Score)
    assert {group.name: (group.size,) for group in graph.groups} == {
        n: tuple(v.shape) for n, v in values.items()
    }
    assert all(bool(torch.isfinite(value).all()) for value in values.values())
    after = fingerprint(model)
    assert [key for key in before if not same(before[key], after[key])] == []


@pytest.mark.parametrize("name", MAKERS)
def test_all_as_found_when_the_model_raises(name):
    """Whatever goes wrong inside (here: the last layer fails), nothing is left behind."""
    model, score = make_model(), MAKERS[name]()
    graph = ns.trace(model, X)

    def fail(module, args):
        raise RuntimeError("as asked")

    handle = model[7].register_forward_pre_hook(fail)
    before = fingerprint(model)
    with contextlib.suppress(RuntimeError):  # a score that runs nothing has nothing to fail
        score(model, lambda m: m(X).sum(), graph)
    after = fingerprint(model)
    handle.remove()
    assert [key for key in before if not same(before[key], after[key])] == []


@pytest.mark.parametrize("name", MAKERS)
def test_scores_drive_shrink(name):
    model = make_model().eval()
    small = ns.shrink(model, X, ratio=0.5, score=MAKERS[name](), loss=lambda m: m(X).sum())
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
