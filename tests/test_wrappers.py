"""Compiled and parallel networks are looked through; what comes back is the plain network."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.wrappers import unwrapped

X = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).double()


def parallel(model):
    return nn.parallel.DistributedDataParallel(model)


@pytest.fixture
def one_process(tmp_path):
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def compiled(model):
    return torch.compile(model, backend="eager")


WRAPS = {
    "compiled": compiled,
    "data-parallel": nn.DataParallel,
    "distributed": parallel,
    "both": lambda model: compiled(parallel(model)),
}


@pytest.mark.parametrize("name", WRAPS)
def test_every_verb_sees_the_network_inside(name, one_process, tmp_path):
    plain, wrapped = network(), WRAPS[name](network())
    graph = ns.trace(wrapped, X)
    assert [group.name for group in graph.groups] == ["0.weight:0"]
    assert ns.profile(wrapped, X).total == ns.profile(plain, X).total
    penalty = ns.penalties.GroupHoyerSquare(graph, strength=1.0)
    assert penalty(wrapped) == penalty(plain)
    small, expected = ns.shrink(wrapped, X, ratio=0.5), ns.shrink(plain, X, ratio=0.5)
    assert type(small) is nn.Sequential
    assert torch.equal(small.eval()(X), expected.eval()(X))
    assert unwrapped(wrapped)[0].out_features == 16
    replayed = ns.replay(wrapped, ns.records(small))
    assert torch.equal(replayed.eval()(X), small(X))
    again = ns.load(ns.save(wrapped, tmp_path / "wrapped.nsm"))
    assert type(again) is nn.Sequential
    assert list(again.state_dict()) == list(plain.state_dict())


def test_optimiser_of_a_wrapped_network_goes_on_with_the_plain_one():
    model = network()
    wrapped = nn.DataParallel(model)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1, momentum=0.9)
    wrapped(X).square().mean().backward()
    optimizer.step()
    small = ns.shrink(wrapped, X, ratio=0.5)
    ns.rebind(optimizer, wrapped, small)
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in small.parameters()}


def test_in_place_edits_the_network_that_the_wrapper_runs():
    model = network().eval()
    wrapped = compiled(model)
    before = wrapped(X)
    small = ns.shrink(wrapped, X, ratio=0.5, inplace=True)
    assert small is model
    assert not torch.equal(wrapped(X), before)
    assert torch.equal(wrapped(X), copy.deepcopy(model)(X))


class Inside(nn.Module):
    """A part is compiled, another is compiled in place, and so is a function."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = compiled(nn.Linear(6, 16)), nn.Linear(16, 12), nn.Linear(12, 3)
        self.b.compile(backend="eager")

    def forward(self, x):
        return self.c(squashed(self.b(self.a(x).relu())))


@torch.compile(backend="eager")
def squashed(x):
    return x.tanh() * 2


def test_compiled_parts_are_traced_as_python_and_follow_the_cut():
    model = Inside().double()
    graph = ns.trace(model, X)
    assert sorted(group.size for group in graph.groups) == [12, 16]
    small = ns.shrink(model, X, ratio=0.5, scope="local")
    assert small.b.weight.shape == (6, 8)
    small.eval()
    with torch.no_grad():
        expected = small.c((small.b.forward(small.a._orig_mod(X).relu())).tanh() * 2)
        torch.testing.assert_close(small(X), expected)
