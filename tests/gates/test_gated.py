"""Gates on reading weights: as gates on channels, shared by what is coupled, exact when closed."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsmith as ns
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.gates import Gated, ScaledSigmoid
from netsmith.graph.masked import run_masked

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Residual(nn.Module):
    """A stem, a block whose sum three layers read, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.first = nn.Conv2d(6, 5, 3, padding=1)
        self.inner = nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 6, 3, padding=1)
        self.outer = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.outer(self.second(F.relu(self.inner(self.first(x))))))
        return self.head(x.mean((2, 3)))


class ScaleLayers(Residual):
    """The same network with the gates as the paper has them: between batch norm and activation."""

    def gated(self, x: Tensor, shared: Tensor, inside: Tensor) -> Tensor:
        def scale(values: Tensor, gates: Tensor) -> Tensor:
            return values * gates.view(1, -1, 1, 1)

        x = F.relu(self.norm(self.stem(x)))
        y = F.relu(scale(self.inner(self.first(scale(x, shared))), inside))
        # The sum is read through its gate; what the block adds to is the sum itself.
        return self.head(F.relu(scale(x + self.outer(self.second(y)), shared)).mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(3, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0])


class Joined(nn.Module):
    """Two branches laid end to end, flattened, and read through a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3)
        self.right = nn.Conv2d(3, 5, 3)
        self.head = nn.Linear(9 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sigmoid(torch.cat([self.left(x), self.right(x)], 1)).flatten(1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.again = nn.Linear(8, 8)
        self.twin = nn.Linear(8, 8)
        self.twin.weight = self.again.weight
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.twin(self.again(self.first(x).relu()).relu()).relu())


def attention() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


NETWORKS = {
    "residual": (Residual, X),
    "recurrent": (Recurrent, torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))),
    "joined": (Joined, X),
    "tied": (Tied, X[0, 0, :4, :4]),
    "attention": (attention, torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3))),
    "depthwise": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 1),
            nn.BatchNorm2d(6),
            nn.ReLU6(),
            nn.Conv2d(6, 6, 3, groups=6),
            nn.BatchNorm2d(6),
            nn.ReLU6(),
            nn.Flatten(),
            nn.Linear(216, 3),
        ),
        X,
    ),
}


def made(name: str) -> tuple[nn.Module, Tensor, Gated]:
    torch.manual_seed(0)
    make, x = NETWORKS[name]
    model = make().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
    return model, x, Gated(model, ns.trace(model, x), ScaledSigmoid).eval()


def close(gated: Gated) -> dict[str, Tensor]:
    """Close some gates for good, and return what stays."""
    with torch.no_grad():
        for number, own in enumerate(gated.by_group(gated.gate.logits).values()):
            own.copy_(torch.tensor([1.0 if (at + number) % 3 else -1.0 for at in range(len(own))]))
    gated.gate.anneal(1.0)
    return {name: own > 0 for name, own in gated.by_group(gated.gate.logits.detach()).items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_closed_gates_are_removed_channels(name):
    model, x, gated = made(name)
    keep = close(gated)
    assert any(not bool(stay.all()) for stay in keep.values())
    graph = ns.trace(model, x)
    small, _ = ns.edits.remove(model, graph, keep)
    with torch.no_grad():
        torch.testing.assert_close(small(x), gated(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(run_masked(model, x, graph, keep), gated(x), atol=1e-5, rtol=1e-5)
        assert float((model(x) - gated(x)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_open_gates_change_nothing(name):
    model, x, gated = made(name)
    with torch.no_grad():
        gated.gate.logits.fill_(1.0)
        gated.gate.anneal(1.0)
        assert torch.equal(gated(x), model(x))


def test_is_the_scale_layer_of_the_paper_and_learns_alike():
    torch.manual_seed(0)
    model = ScaleLayers()
    gated = Gated(model, ns.trace(model, X), ScaledSigmoid).train()
    assert gated.sizes == {"stem.weight:0": 6, "first.weight:0": 5}
    with torch.no_grad():
        gated.gate.logits.uniform_(-1, 1)
    logits = gated.gate.logits.detach().clone().requires_grad_()
    shared, inside = torch.sigmoid(gated.gate.delta * logits).split([6, 5])
    weights = torch.randn(4, 4, generator=torch.Generator().manual_seed(4))
    (copy.deepcopy(model).gated(X, shared, inside) * weights).sum().backward()
    (gated(X) * weights).sum().backward()
    torch.testing.assert_close(gated.gate.logits.grad, logits.grad, atol=1e-5, rtol=1e-4)


def test_statistics_gather_under_the_gates_and_the_model_keeps_its_own():
    model, x, gated = made("residual")
    before = copy.deepcopy(model.state_dict())
    gated.train()
    gated(x)
    assert not torch.equal(gated.network.inner.running_mean, model.inner.running_mean)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


def test_what_learns_is_a_copy():
    model, x, _ = made("residual")
    graph = ns.trace(model, x)
    gated = Gated(model, graph, ScaledSigmoid, learn=["head.weight"])
    learning = {name for name, parameter in gated.named_parameters() if parameter.requires_grad}
    assert learning == {"gate.logits", "network.head.weight"}
    assert gated.network.first.weight.data_ptr() == model.first.weight.data_ptr()
    assert gated.network.head.weight.data_ptr() != model.head.weight.data_ptr()


def test_what_else_reads_a_group_leaves_it_without_gates():
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    gated = Gated(model, ns.trace(model, torch.zeros(2, 4)), ScaledSigmoid)
    assert list(gated.sizes) == ["2.weight:0"]
    assert gated.ungated == {"0.weight:0": "native_layer_norm in module 1 reads it"}


def test_moves_and_copies():
    _, x, gated = made("joined")
    double = copy.deepcopy(gated).double()
    assert double(x.double()).dtype == torch.float64
    torch.testing.assert_close(double(x.double()).float(), gated(x))
    assert gated.state_dict().keys() == {"gate.logits", "gate.delta"} | {
        f"network.{name}" for name in gated.network.state_dict()
    }


def test_mistakes():
    model, x, _ = made("residual")
    graph = ns.trace(model, x)
    with pytest.raises(UnknownNameError, match="unknown group 'stem'"):
        Gated(model, graph, ScaledSigmoid, groups=["stem"])
    with pytest.raises(
        UnknownNameError, match=r"unknown parameter 'hade\.weight'; did you mean head\.weight"
    ):
        Gated(model, graph, ScaledSigmoid, learn=["hade.weight"])
    normed = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 5))
    with pytest.raises(NetsmithError, match=r"no group of channels can be gated .*native_layer_norm"):
        Gated(normed, ns.trace(normed, torch.zeros(2, 4)), ScaledSigmoid)
    with pytest.raises(NetsmithError, match=r"group 0\.weight:0 cannot be gated: native_layer_norm"):
        Gated(normed, ns.trace(normed, torch.zeros(2, 4)), ScaledSigmoid, groups=["0.weight:0"])
    smaller = ns.shrink(model, x, ratio=0.5)
    for other in (smaller, normed):
        with pytest.raises(NetsmithError, match=r"the model has no \S+ that fits the graph; trace"):
            Gated(other, graph, ScaledSigmoid)
    one = nn.Linear(4, 2)
    with pytest.raises(NetsmithError, match=r"no group of channels can be gated \(the graph has none\)"):
        Gated(one, ns.trace(one, torch.zeros(2, 4)), ScaledSigmoid)
