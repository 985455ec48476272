"""Removing channels: records, replay, and optimisers that follow."""

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits import rebind, remove, replay
from netsmith.errors import EditError, NetsmithError


def make(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 16, 4),
    )  # fmt: skip
    return model.double()


X = torch.linspace(-1, 1, 2 * 3 * 4 * 4, dtype=torch.float64).reshape(2, 3, 4, 4)


def half(graph):
    return {g.name: torch.arange(g.size) % 2 == 0 for g in graph.groups}


def test_records_survive_json_and_replay_on_a_fresh_instance():
    model = make()
    graph = ns.trace(model, X)
    small, records = remove(model, graph, half(graph))
    assert ns.records(small) == records
    assert ns.records(model) == []
    again = replay(make(), json.loads(json.dumps(records)))
    again.eval(), small.eval()
    torch.testing.assert_close(again(X), small(X), rtol=0, atol=0)
    assert [str(m) for m in again.modules()] == [str(m) for m in small.modules()]


def test_edits_of_edits_are_kept_in_order():
    model = make()
    small = ns.shrink(model, X, ratio=0.25)
    smaller = ns.shrink(small, X, ratio=0.25)
    assert len(ns.records(smaller)) == 2
    replayed = replay(make(), ns.records(smaller)).eval()
    torch.testing.assert_close(replayed(X), smaller.eval()(X), rtol=0, atol=0)


def test_replay_on_another_model_is_refused_and_leaves_it_whole():
    graph = ns.trace(make(), X)
    _, records = remove(make(), graph, half(graph))
    other = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(EditError, match=r"0\.weight has shape .*, the record was made on one of"):
        replay(other, records)
    assert other[0].weight.shape == (2, 2)


def test_inplace_keeps_parameter_objects():
    model = make()
    weight = model[0].weight
    same = ns.shrink(model, X, ratio=0.5, inplace=True)
    assert same is model
    assert model[0].weight is weight
    assert weight.shape[0] == model[0].out_channels < 8


def test_shrink_leaves_the_given_model_untouched():
    model = make()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    ns.shrink(model, X, ratio=0.5)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("inplace", [False, True], ids=["copy", "inplace"])
@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
        lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
        lambda p: torch.optim.AdamW(p, lr=1e-2),
        lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.9),
    ],
    ids=["sgd", "adam", "adamw", "rmsprop"],
)
def test_next_step_equals_the_masked_originals(make_optimizer, inplace):
    """The step after the cut must be the step that the uncut model would have made on the same gradients."""
    model = make()
    optimizer = make_optimizer(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(X).square().mean().backward()
        optimizer.step()
    graph = ns.trace(model, X)
    keep = half(graph)
    gradients = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    twin = make()
    twin.load_state_dict(model.state_dict())
    twin_optimizer = make_optimizer(twin.parameters())
    twin_optimizer.load_state_dict(optimizer.state_dict())

    small, records = remove(model, graph, keep, inplace=inplace)
    rebind(optimizer, model, small, records)
    cuts = {n: {int(d): torch.tensor(i) for d, i in c.items()} for n, c in records[0]["tensors"].items()}

    def sliced(name, tensor):
        for dim, index in cuts.get(name, {}).items():
            tensor = tensor.index_select(dim, index)
        return tensor

    for name, parameter in small.named_parameters():
        parameter.grad = sliced(name, gradients[name])
    for name, parameter in twin.named_parameters():
        parameter.grad = gradients[name]
    optimizer.step()
    twin_optimizer.step()
    for (name, ours), (_, theirs) in zip(small.named_parameters(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(ours, sliced(name, theirs), rtol=0, atol=1e-15)


def test_rebind_refuses_a_foreign_optimizer():
    model = make()
    foreign = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(EditError, match="not in the original"):
        rebind(foreign, model, ns.shrink(model, X, ratio=0.5))


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"nobody:0": torch.ones(8, dtype=torch.bool)}, "unknown group"),
        ({"0.weight:0": torch.ones(5, dtype=torch.bool)}, r"shape \(5,\), expected \(8,\)"),
        ({"0.weight:0": torch.zeros(8, dtype=torch.bool)}, "at least one must stay"),
    ],
)
def test_keep_that_does_not_fit_is_refused(keep, message):
    model = make()
    with pytest.raises(NetsmithError, match=message):
        remove(model, ns.trace(model, X), keep)


class KeepsOutputs(nn.Module):
    """Keeps what it put out, also inside a list, as networks with several outputs do."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)
        self.kept, self.latest = [None], None

    def forward(self, x):
        self.latest = self.last(self.first(x).relu())
        self.kept[0] = self.latest * 2
        return self.latest


def test_a_model_that_kept_something_from_a_run_with_gradients_is_cut():
    model, x = KeepsOutputs(), torch.randn(3, 4)
    model(x)
    small = ns.shrink(model, x, ratio=0.5)
    assert small.first.out_features == 4
    assert model.latest.grad_fn is not None
