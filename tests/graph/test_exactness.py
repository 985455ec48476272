"""A cut equals the masked original: every zoo network, and random networks, in both modes and precisions."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import RandomNetwork, networks
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import relative_difference
from netsmith.edits import remove
from netsmith.graph.masked import run_masked
from netsmith.graph.tracing import graph_of, run

SHAPES = {"lenet-300-100": (1, 28, 28), "lenet5": (1, 28, 28), "small-cnn": (1, 8, 8)}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def random_keep(graph, seed, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for group in graph.groups:
        mask = torch.rand(group.size, generator=generator) < share
        mask[int(torch.randint(group.size, (), generator=generator))] = True
        keep[group.name] = mask
    return keep


def cut_difference(model, x, seed, *, training):
    model.train(training)
    graph = graph_of(run(model, x, training=training))
    keep = random_keep(graph, seed)
    smaller, _ = remove(model, graph, keep)
    torch.manual_seed(seed)
    expected = run_masked(copy.deepcopy(model), x, graph, keep)
    torch.manual_seed(seed)
    with torch.no_grad():
        return relative_difference(smaller(x), expected), graph, smaller


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ns.zoo.names("images"))
def test_zoo_cut_equals_masked_original(name, training, dtype):
    torch.manual_seed(0)
    shape = SHAPES.get(name, (3, 32, 32))
    width = 0.25 if name in ("vgg16-bn", "resnet18", "mobilenetv2") else 1.0
    model = ns.zoo.build(name, classes=10, input_shape=shape, width=width).to(dtype)
    x = torch.randn(4, *shape, dtype=dtype)
    difference, graph, smaller = cut_difference(model, x, 1, training=training)
    assert graph.groups
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    assert difference <= TOLERANCE[dtype]


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks, seed=st.integers(0, 2**16))
def test_random_network_cut_equals_masked_original(model, seed, training):
    model = model.double()
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    difference, _, _ = cut_difference(model, x, seed, training=training)
    assert difference <= TOLERANCE[torch.float64]


@settings(max_examples=10, deadline=None)
@given(model=networks, seed=st.integers(0, 2**16))
def test_random_network_cut_in_single_precision(model, seed):
    difference, _, _ = cut_difference(model, torch.randn(3, 3, 8, 8), seed, training=False)
    assert difference <= TOLERANCE[torch.float32]


def zero_readers(model, graph, keep):
    """The oracle that knows nothing of the tracer's masks: zero the weights that read removed channels."""
    masked = copy.deepcopy(model)
    tensors = dict(masked.named_parameters())
    with torch.no_grad():
        for group in graph.groups:
            gone = ~keep[group.name]
            for item in group.slices:
                if item.role == "in":
                    index = item.index[gone].reshape(-1)
                    tensors[item.tensor].index_fill_(item.dim, index, 0.0)
    return masked


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet5", "resnet20", "vgg16-bn", "mobilenetv2"])
def test_cut_equals_zeroed_reader_weights(name):
    torch.manual_seed(0)
    shape = SHAPES.get(name, (3, 32, 32))
    model = ns.zoo.build(name, classes=10, input_shape=shape, width=0.5).double().eval()
    x = torch.randn(2, *shape, dtype=torch.float64)
    graph = ns.trace(model, x)
    keep = random_keep(graph, 3)
    smaller, _ = remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(smaller(x), zero_readers(model, graph, keep)(x)) <= 1e-10


@settings(max_examples=20, deadline=None)
@given(
    kinds=st.lists(
        st.sampled_from(("plain", "concat", "depthwise", "grouped", "glu")), min_size=1, max_size=4
    ),
    seed=st.integers(0, 2**16),
)
def test_random_cut_equals_zeroed_reader_weights(kinds, seed):
    model = RandomNetwork(kinds, 8, 2, seed).double().eval()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    graph = ns.trace(model, x)
    keep = random_keep(graph, seed)
    smaller, _ = remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(smaller(x), zero_readers(model, graph, keep)(x)) <= 1e-10


def test_a_gate_after_sigmoid_is_cut_at_its_reader():
    """Sigmoid of zero is one half, so zeroing producers would be wrong; the cut must match zeroed readers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    graph = ns.trace(model, x)
    keep = {graph.groups[0].name: torch.tensor([True, False, True, True, False, True])}
    smaller, _ = remove(model, graph, keep)
    readers = copy.deepcopy(model)
    producers = copy.deepcopy(model)
    with torch.no_grad():
        readers[2].weight[:, [1, 4]] = 0
        producers[0].weight[[1, 4]] = 0
        producers[0].bias[[1, 4]] = 0
        assert relative_difference(smaller(x), readers(x)) <= 1e-12
        assert relative_difference(smaller(x), producers(x)) > 1e-3
