"""Graph networks of PyTorch Geometric: every convolution that runs without compiled extensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import torch_geometric.nn as G
from torch import Tensor, nn

NODES, EDGES, FEATURES, HIDDEN, CLASSES, RELATIONS = 24, 80, 6, 16, 3, 3
_random = torch.Generator().manual_seed(0)
X = torch.randn(NODES, FEATURES, generator=_random)
EDGE = torch.randint(0, NODES, (2, EDGES), generator=_random)
EDGE = EDGE[:, EDGE[1].argsort()]
WEIGHT = torch.rand(EDGES, generator=_random)
ATTRIBUTES = torch.rand(EDGES, 3, generator=_random)
PLACES = torch.rand(NODES, 3, generator=_random)
RELATION = torch.randint(0, RELATIONS, (EDGES,), generator=_random)
NODE_TYPE = torch.arange(NODES) // 8
DEGREES = torch.bincount(torch.bincount(EDGE[1], minlength=NODES))


class Stack(nn.Module):
    """Convolutions one after another and a classifier of nodes."""

    def __init__(self, *layers: nn.Module, width: int) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(layers), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor, *rest: Tensor) -> Tensor:
        """Classify nodes; every layer gets the same edges."""
        for layer in self.layers:
            x = layer(x, *rest).relu()
        return self.head(x)


class Embedded(nn.Module):
    """Layers of one width between two linear ones; ``again`` gives each layer the first features too."""

    def __init__(self, *layers: nn.Module, again: bool = False) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.layers, self.again = nn.ModuleList(layers), again

    def forward(self, x: Tensor, *rest: Tensor) -> Tensor:
        """Classify nodes."""
        x = first = self.first(x).relu()
        for layer in self.layers:
            x = layer(x, first, *rest) if self.again else layer(x, *rest)
        return self.head(x)


class Remembering(nn.Module):
    """Layers that attend to what all layers before them put out."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.layers = nn.ModuleList(G.DNAConv(HIDDEN, heads=4) for _ in range(layers))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Classify nodes."""
        history = self.first(x).relu()[:, None]
        for layer in self.layers:
            history = torch.cat([history, layer(history, edge_index).relu()[:, None]], dim=1)
        return self.head(history[:, -1])


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers with ReLU between."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def two(make: Callable[[int, int], nn.Module], wide: int = 1) -> Callable[[], nn.Module]:
    """Return a constructor of two layers; ``wide`` is how many times its width the first one puts out."""
    return lambda: Stack(make(FEATURES, HIDDEN), make(HIDDEN * wide, HIDDEN), width=HIDDEN * wide)


def same(make: Callable[[], nn.Module], again: bool = False) -> Callable[[], nn.Module]:
    """Return a constructor of two layers of one width."""
    return lambda: Embedded(make(), make(), again=again)


def architectures() -> Iterator[tuple[str, Callable[[], nn.Module], Any]]:
    """Yield (name, constructor, inputs)."""
    plain, weighted, attributed = (X, EDGE), (X, EDGE, WEIGHT), (X, EDGE, ATTRIBUTES)
    yield "GCNConv", two(G.GCNConv), plain
    yield "GCNConv-weighted", two(G.GCNConv), weighted
    yield "GCNConv-improved", two(lambda a, b: G.GCNConv(a, b, improved=True, bias=False)), plain
    yield "ChebConv", two(lambda a, b: G.ChebConv(a, b, 3)), plain
    for kind in ("mean", "max", "lstm", "softmax", "median", "std"):
        yield f"SAGEConv-{kind}", two(lambda a, b, k=kind: G.SAGEConv(a, b, aggr=k)), plain
    yield "SAGEConv-several", two(lambda a, b: G.SAGEConv(a, b, aggr=["mean", "max", "std"])), plain
    yield "SAGEConv-projected", two(lambda a, b: G.SAGEConv(a, b, project=True, normalize=True)), plain
    yield "GraphConv", two(G.GraphConv), weighted
    yield "ResGatedGraphConv", two(G.ResGatedGraphConv), plain
    yield "GATConv", two(lambda a, b: G.GATConv(a, b, heads=4), 4), plain
    yield "GATConv-mean", two(lambda a, b: G.GATConv(a, b, heads=4, concat=False)), plain
    yield "GATConv-residual", two(lambda a, b: G.GATConv(a, b, heads=2, residual=True), 2), plain
    yield "GATConv-edges", two(lambda a, b: G.GATConv(a, b, heads=2, edge_dim=3), 2), attributed
    yield "GATv2Conv", two(lambda a, b: G.GATv2Conv(a, b, heads=4), 4), plain
    yield "GATv2Conv-shared", two(lambda a, b: G.GATv2Conv(a, b, heads=4, share_weights=True), 4), plain
    yield "GATv2Conv-edges", two(lambda a, b: G.GATv2Conv(a, b, heads=2, edge_dim=3), 2), attributed
    yield "TransformerConv", two(lambda a, b: G.TransformerConv(a, b, heads=4), 4), plain
    yield "TransformerConv-beta", two(lambda a, b: G.TransformerConv(a, b, heads=2, beta=True), 2), plain
    yield (
        "TransformerConv-edges",
        two(lambda a, b: G.TransformerConv(a, b, heads=2, edge_dim=3), 2),
        attributed,
    )
    yield "TAGConv", two(G.TAGConv), weighted
    yield "GINConv", two(lambda a, b: G.GINConv(mlp(a, 20, b), train_eps=True)), plain
    yield "GINEConv", two(lambda a, b: G.GINEConv(mlp(a, 20, b), edge_dim=3)), attributed
    yield "ARMAConv", two(lambda a, b: G.ARMAConv(a, b, num_stacks=2, num_layers=2)), plain
    yield "ARMAConv-shared", two(lambda a, b: G.ARMAConv(a, b, 2, 2, shared_weights=True)), plain
    yield "SGConv", two(lambda a, b: G.SGConv(a, b, K=2)), plain
    yield "SSGConv", two(lambda a, b: G.SSGConv(a, b, alpha=0.1, K=2)), plain
    yield "MFConv", two(G.MFConv), plain
    yield "EdgeConv", two(lambda a, b: G.EdgeConv(mlp(2 * a, 20, b))), plain
    yield "FeaStConv", two(lambda a, b: G.FeaStConv(a, b, heads=2)), plain
    yield "LEConv", two(G.LEConv), weighted
    yield "ClusterGCNConv", two(G.ClusterGCNConv), plain
    yield "GENConv", two(lambda a, b: G.GENConv(a, b, learn_t=True)), plain
    yield "GENConv-power", two(lambda a, b: G.GENConv(a, b, aggr="powermean", learn_p=True)), plain
    yield "GENConv-edges", two(lambda a, b: G.GENConv(a, b, edge_dim=3, msg_norm=True)), attributed
    yield "FiLMConv", two(G.FiLMConv), plain
    yield "FiLMConv-relations", two(lambda a, b: G.FiLMConv(a, b, RELATIONS)), (X, EDGE, RELATION)
    yield "SuperGATConv", two(lambda a, b: G.SuperGATConv(a, b, heads=4), 4), plain
    yield "EGConv", two(lambda a, b: G.EGConv(a, b, num_heads=4, aggregators=["mean", "max"])), plain
    yield "GeneralConv", two(lambda a, b: G.GeneralConv(a, b, attention=True, heads=2)), plain
    yield "GeneralConv-dot", two(lambda a, b: G.GeneralConv(a, b, 3, attention=True)), attributed
    yield "HypergraphConv", two(G.HypergraphConv), plain
    yield "PNAConv", two(lambda a, b: pna(a, b)), plain
    yield "PNAConv-towers", two(lambda a, b: pna(a, b, towers=2, post_layers=2)), plain
    yield "PNAConv-edges", two(lambda a, b: pna(a, b, edge_dim=3)), attributed
    yield "RGCNConv", two(lambda a, b: G.RGCNConv(a, b, RELATIONS)), (X, EDGE, RELATION)
    yield "RGCNConv-bases", two(lambda a, b: G.RGCNConv(a, b, 3, num_bases=2)), (X, EDGE, RELATION)
    yield "RGCNConv-blocks", two(lambda a, b: G.RGCNConv(a, b, 3, num_blocks=2)), (X, EDGE, RELATION)
    yield "FastRGCNConv", two(lambda a, b: G.FastRGCNConv(a, b, RELATIONS)), (X, EDGE, RELATION)
    yield "RGATConv", two(lambda a, b: G.RGATConv(a, b, RELATIONS)), (X, EDGE, RELATION)
    yield "NNConv", two(lambda a, b: G.NNConv(a, b, mlp(3, 8, a * b))), attributed
    yield "GMMConv", two(lambda a, b: G.GMMConv(a, b, dim=3, kernel_size=4)), attributed
    yield "PointNetConv", two(lambda a, b: G.PointNetConv(mlp(a + 3, b), mlp(b, b))), (X, PLACES, EDGE)
    yield "PPFConv", two(lambda a, b: G.PPFConv(mlp(a + 4, b))), (X, PLACES, PLACES.sin(), EDGE)
    yield "PointTransformerConv", two(G.PointTransformerConv), (X, PLACES, EDGE)
    yield "PDNConv", two(lambda a, b: G.PDNConv(a, b, edge_dim=3, hidden_channels=8)), attributed
    yield "DirGNNConv", two(lambda a, b: G.DirGNNConv(G.SAGEConv(a, b))), plain
    yield "MixHopConv", two(G.MixHopConv, 3), plain
    yield "HEATConv", two(lambda a, b: G.HEATConv(a, b, 3, RELATIONS, 4, 3, 8)), (
        X, EDGE, NODE_TYPE, RELATION, ATTRIBUTES,
    )  # fmt: skip
    yield "DNAConv", Remembering, plain
    yield from of_one_width()


def of_one_width() -> Iterator[tuple[str, Callable[[], nn.Module], Any]]:
    """Yield networks of convolutions that keep the width of their input."""
    plain = (X, EDGE)
    yield "APPNP", same(lambda: G.APPNP(3, 0.1)), plain
    yield "LGConv", same(G.LGConv), plain
    yield "SimpleConv", same(lambda: G.SimpleConv(combine_root="self_loop")), plain
    yield "AGNNConv", same(G.AGNNConv), plain
    yield "GatedGraphConv", same(lambda: G.GatedGraphConv(HIDDEN, 2)), plain
    yield "GCN2Conv", same(lambda: G.GCN2Conv(HIDDEN, 0.1, 0.5, 1), again=True), plain
    yield "GCN2Conv-unshared", same(lambda: G.GCN2Conv(HIDDEN, 0.1, shared_weights=False), True), plain
    yield "FAConv", same(lambda: G.FAConv(HIDDEN), again=True), plain
    yield "CGConv", same(lambda: G.CGConv(HIDDEN, 3, batch_norm=True)), (X, EDGE, ATTRIBUTES)
    yield "AntiSymmetricConv", same(lambda: G.AntiSymmetricConv(HIDDEN, num_iters=2)), plain
    yield "GPSConv", same(lambda: G.GPSConv(HIDDEN, G.GINConv(mlp(HIDDEN, HIDDEN)), heads=4)), plain
    yield "PointGNNConv", same(
        lambda: G.PointGNNConv(mlp(HIDDEN, 3), mlp(HIDDEN + 3, 20), mlp(20, HIDDEN))
    ), (X, PLACES, EDGE)  # fmt: skip
    for name in ("BatchNorm", "InstanceNorm", "LayerNorm", "GraphNorm", "DiffGroupNorm"):
        more = {"groups": 2} if name == "DiffGroupNorm" else {}
        yield f"GCNConv-{name}", normalised(getattr(G, name), **more), plain


def normalised(norm: Callable[..., nn.Module], **more: Any) -> Callable[[], nn.Module]:
    """Return a constructor of convolutions, each followed by a normalisation."""
    return lambda: Stack(Normalised(FEATURES, norm, **more), Normalised(HIDDEN, norm, **more), width=HIDDEN)


class Normalised(nn.Module):
    """A convolution and a normalisation."""

    def __init__(self, width: int, norm: Callable[..., nn.Module], **more: Any) -> None:
        super().__init__()
        self.layer, self.norm = G.GCNConv(width, HIDDEN), norm(HIDDEN, **more)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return normalised features."""
        return self.norm(self.layer(x, edge_index))


def pna(a: int, b: int, **more: Any) -> nn.Module:
    """Return a principal neighbourhood aggregation with three aggregators and two scalers."""
    return G.PNAConv(a, b, ["mean", "max", "std"], ["identity", "amplification"], DEGREES, **more)
