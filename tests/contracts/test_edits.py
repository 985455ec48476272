"""Every edit keeps the contract: exact records, replay, an optimiser that follows, nothing half done."""

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.contracts import Edit
from netsmith.edits import rebind, replay
from netsmith.errors import NetsmithError

X = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.PReLU(8), nn.Conv2d(8, 6, 3, groups=2),
        nn.GroupNorm(3, 6), nn.Flatten(), nn.Linear(96, 4),
    ).double()  # fmt: skip


def half(graph):
    return {group.name: torch.arange(group.size) % 2 == 0 for group in graph.groups}


def doubled(graph):
    return {group.name: range(group.size) for group in graph.groups}


def widened(graph):
    return {graph.groups[0].name: graph.groups[0].size + 2}


EDITS = {
    "remove": (ns.edits.remove, half, {"nobody:0": torch.ones(3, dtype=torch.bool)}),
    "split": (ns.edits.split, doubled, {"0.weight:0": [8]}),
    "widen": (ns.edits.widen, widened, {"0.weight:0": 3}),
}


@pytest.fixture(params=EDITS)
def edit(request):
    return EDITS[request.param]


def test_record_tells_exactly_what_changed(edit):
    function, change, _ = edit
    model = make_model()
    graph = ns.trace(model, X)
    edited, records = function(model, graph, change(graph))
    assert isinstance(function, Edit)
    assert type(edited) is type(model)
    assert records == json.loads(json.dumps(records))
    changed = {n for n, t in model.state_dict().items() if t.shape != edited.state_dict()[n].shape}
    assert {name for record in records for name in record["tensors"]} == changed
    for name in model.state_dict().keys() - changed:
        assert torch.equal(model.state_dict()[name], edited.state_dict()[name])


def test_replay_gives_the_same_model(edit):
    function, change, _ = edit
    model = make_model()
    graph = ns.trace(model, X)
    edited, records = function(model, graph, change(graph))
    again = replay(make_model(), records)
    assert str(again) == str(edited)
    assert torch.equal(again.eval()(X), edited.eval()(X))


def test_optimiser_rebinds_and_steps(edit):
    function, change, _ = edit
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())
    model(X).sum().backward()
    optimizer.step()
    graph = ns.trace(model, X)
    edited, records = function(model, graph, change(graph))
    rebind(optimizer, model, edited, records)
    before = [p.clone() for p in edited.parameters()]
    edited(X).sum().backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, edited.parameters(), strict=True))


@pytest.mark.parametrize("inplace", [False, True])
def test_what_cannot_be_done_is_not_begun(edit, inplace):
    function, _, wrong = edit
    model = make_model()
    graph = ns.trace(model, X)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(NetsmithError):
        function(model, graph, wrong, inplace=inplace)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
