"""Pooling, readouts, heterogeneous layers and whole models of PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch_geometric.nn as G
from torch import Tensor, nn
from torch_geometric.nn import aggr, models

NODES, EDGES, FEATURES, HIDDEN, CLASSES = 24, 80, 6, 16, 3
Entry = tuple[str, Callable[[], nn.Module], Any]
_random = torch.Generator().manual_seed(0)
X = torch.randn(NODES, FEATURES, generator=_random)
GRAPHS = torch.arange(NODES) // 6
EDGE = torch.randint(0, 6, (2, EDGES), generator=_random) + 6 * (torch.arange(EDGES) // 20)
ATTRIBUTES = torch.rand(EDGES, 3, generator=_random)
PLACES = torch.rand(NODES, 3, generator=_random)
ATOMS = torch.randint(1, 10, (NODES,), generator=_random)
DEGREES = torch.bincount(torch.bincount(EDGE[1], minlength=NODES))
DENSE = torch.rand(2, 8, FEATURES, generator=_random), (torch.rand(2, 8, 8, generator=_random) > 0.6).float()
KINDS, LINKS = ["paper", "author"], [("paper", "cites", "paper"), ("author", "writes", "paper")]
LINKS = [*LINKS, ("paper", "written_by", "author")]
PAPERS = (
    {kind: torch.randn(12, FEATURES, generator=_random) for kind in KINDS},
    {link: torch.randint(0, 12, (2, 30), generator=_random) for link in LINKS},
)


class Readout(nn.Module):
    """Two convolutions, a readout to graphs, a classifier."""

    def __init__(self, readout: Any, width: int = HIDDEN, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.first = layer or G.GCNConv(FEATURES, HIDDEN)
        self.second, self.readout = G.GCNConv(HIDDEN, HIDDEN), readout
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor, graphs: Tensor) -> Tensor:
        """Classify graphs."""
        x = self.second(self.first(x, edge_index).relu(), edge_index).relu()
        readout = getattr(G, self.readout) if isinstance(self.readout, str) else self.readout
        return self.head(readout(x, graphs))


class Pooled(nn.Module):
    """Convolution, pooling to fewer nodes, convolution, readout."""

    def __init__(self, pool: nn.Module, graphs_at: int) -> None:
        super().__init__()
        self.first, self.pool, self.second = G.GraphConv(FEATURES, HIDDEN), pool, G.GraphConv(HIDDEN, HIDDEN)
        self.head, self.graphs_at = nn.Linear(HIDDEN, CLASSES), graphs_at

    def forward(self, x: Tensor, edge_index: Tensor, graphs: Tensor) -> Tensor:
        """Classify graphs."""
        pooled = self.pool(self.first(x, edge_index).relu(), edge_index, batch=graphs)
        x = self.second(pooled[0], pooled[1]).relu()
        return self.head(G.global_mean_pool(x, pooled[self.graphs_at], 4))


class Dense(nn.Module):
    """Layers on dense adjacency matrices, with pooling to four clusters where asked for."""

    def __init__(self, kind: Callable[[int, int], nn.Module], pool: Any = None) -> None:
        super().__init__()
        self.first, self.second = kind(FEATURES, HIDDEN), kind(HIDDEN, HIDDEN)
        self.assign, self.pool = nn.Linear(HIDDEN, 4), pool
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Classify graphs."""
        x = self.first(x, adjacency).relu()
        if isinstance(self.pool, nn.Module):
            _, x, adjacency, *_ = self.pool(x, adjacency)
        elif self.pool is not None:
            x, adjacency, *_ = getattr(G, self.pool)(x, adjacency, self.assign(x))
        return self.head(self.second(x, adjacency).relu().mean(dim=1))


class Jumping(nn.Module):
    """What every layer put out, joined by a jumping-knowledge readout."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(G.GCNConv(FEATURES if i == 0 else HIDDEN, HIDDEN) for i in range(3))
        self.jump = G.JumpingKnowledge(mode, HIDDEN, 3)
        self.head = nn.Linear(HIDDEN * (3 if mode == "cat" else 1), CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Classify nodes."""
        outputs = []
        for layer in self.layers:
            x = layer(x, edge_index).relu()
            outputs.append(x)
        return self.head(self.jump(outputs))


class Hetero(nn.Module):
    """Two layers on papers and authors, given as two dictionaries."""

    def __init__(self, first: nn.Module, second: nn.Module, width: int = HIDDEN) -> None:
        super().__init__()
        self.first, self.second, self.head = first, second, nn.Linear(width, CLASSES)

    def forward(self, x: dict[str, Tensor], edges: dict[tuple[str, str, str], Tensor]) -> Tensor:
        """Classify papers."""
        x = {kind: value.relu() for kind, value in self.first(x, edges).items()}
        return self.head(self.second(x, edges)["paper"])


class Deep(nn.Module):
    """Pre-activation residual blocks of graph convolutions."""

    def __init__(self, block: str) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, HIDDEN)
        self.layers = nn.ModuleList(
            G.DeepGCNLayer(G.GENConv(HIDDEN, HIDDEN), G.LayerNorm(HIDDEN), nn.ReLU(), block) for _ in range(3)
        )
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Classify nodes."""
        x = self.first(x)
        for layer in self.layers:
            x = layer(x, edge_index)
        return self.head(x)


def architectures() -> Iterator[Entry]:
    """Yield (name, constructor, inputs)."""
    yield from readouts()
    yield from pools()
    yield from whole_models()
    yield from heterogeneous()


def readouts() -> Iterator[Entry]:
    """Yield batched graphs read out in every way."""
    graphs = (X, EDGE, GRAPHS)
    for name in ("add", "mean", "max"):
        yield f"global_{name}_pool", lambda n=name: Readout(f"global_{n}_pool"), graphs
    for name in ("Median", "Var", "Std", "Softmax", "PowerMean"):
        more = {"learn": True} if name in ("Softmax", "PowerMean") else {}
        yield (
            f"{name}Aggregation",
            lambda n=name, m=more: Readout(getattr(aggr, f"{n}Aggregation")(**m)),
            graphs,
        )
    yield "Set2Set", lambda: Readout(aggr.Set2Set(HIDDEN, 3), 2 * HIDDEN), graphs
    yield "AttentionalAggregation", lambda: Readout(aggr.AttentionalAggregation(nn.Linear(HIDDEN, 1))), graphs
    yield "SortAggregation", lambda: Readout(aggr.SortAggregation(3), 3 * HIDDEN), graphs
    yield "LSTMAggregation", lambda: Readout(aggr.LSTMAggregation(HIDDEN, 20), 20), graphs
    yield "GRUAggregation", lambda: Readout(aggr.GRUAggregation(HIDDEN, 20), 20), graphs
    yield "DeepSetsAggregation", lambda: Readout(
        aggr.DeepSetsAggregation(nn.Linear(HIDDEN, 20), nn.Linear(20, HIDDEN))
    ), graphs  # fmt: skip
    yield "MLPAggregation", lambda: Readout(
        aggr.MLPAggregation(HIDDEN, HIDDEN, 6, num_layers=2, hidden_channels=20, norm=None)
    ), graphs  # fmt: skip
    yield "SetTransformer", lambda: Readout(aggr.SetTransformerAggregation(HIDDEN, heads=2)), graphs
    for mode in ("cat", "max", "lstm"):
        yield f"JumpingKnowledge-{mode}", lambda m=mode: Jumping(m), (X, EDGE)


def pools() -> Iterator[Entry]:
    """Yield hierarchical pooling, sparse and dense."""
    graphs = (X, EDGE, GRAPHS)
    yield "TopKPooling", lambda: Pooled(G.TopKPooling(HIDDEN, 0.5), 3), graphs
    yield "SAGPooling", lambda: Pooled(G.SAGPooling(HIDDEN, 0.5), 3), graphs
    yield "ASAPooling", lambda: Pooled(G.ASAPooling(HIDDEN, 0.5), 3), graphs
    for name in ("GCN", "SAGE", "Graph"):
        yield f"Dense{name}Conv", lambda n=name: Dense(getattr(G, f"Dense{n}Conv")), DENSE
    yield "DenseGINConv", lambda: Dense(
        lambda a, b: G.DenseGINConv(nn.Sequential(nn.Linear(a, 20), nn.ReLU(), nn.Linear(20, b)))
    ), DENSE  # fmt: skip
    yield "DenseGATConv", lambda: Dense(lambda a, b: G.DenseGATConv(a, b // 4, heads=4)), DENSE
    yield "dense_diff_pool", lambda: Dense(G.DenseSAGEConv, "dense_diff_pool"), DENSE
    yield "dense_mincut_pool", lambda: Dense(G.DenseGraphConv, "dense_mincut_pool"), DENSE
    yield "DMoNPooling", lambda: Dense(G.DenseGCNConv, G.DMoNPooling([HIDDEN, HIDDEN], 4)), DENSE


def whole_models() -> Iterator[Entry]:
    """Yield models that come with PyTorch Geometric."""
    plain, sizes = (X, EDGE), (FEATURES, HIDDEN, 3, CLASSES)
    yield "models.GCN", lambda: models.GCN(*sizes, norm="batch_norm"), plain
    yield "models.GCN-jk", lambda: models.GCN(*sizes, jk="cat"), plain
    yield "models.GCN-jk-lstm", lambda: models.GCN(*sizes, jk="lstm"), plain
    yield "models.GraphSAGE", lambda: models.GraphSAGE(*sizes, norm="layer_norm", jk="max"), plain
    yield "models.GIN", lambda: models.GIN(*sizes, norm="graph_norm"), plain
    yield "models.GAT", lambda: models.GAT(*sizes, heads=4, v2=True), plain
    yield "models.PNA", lambda: models.PNA(
        *sizes, aggregators=["mean", "max"], scalers=["identity", "attenuation"], deg=DEGREES
    ), plain  # fmt: skip
    yield "models.EdgeCNN", lambda: models.EdgeCNN(*sizes), plain
    yield "models.MLP", lambda: models.MLP([FEATURES, HIDDEN, HIDDEN, CLASSES]), X
    yield "models.GraphUNet", lambda: models.GraphUNet(*sizes), plain
    yield "models.LINKX", lambda: models.LINKX(NODES, FEATURES, HIDDEN, CLASSES, 2), plain
    yield "models.PMLP", lambda: models.PMLP(FEATURES, HIDDEN, CLASSES, 3), plain
    yield "models.RECT_L", lambda: models.RECT_L(FEATURES, HIDDEN), plain
    yield "models.AttentiveFP", lambda: models.AttentiveFP(FEATURES, HIDDEN, CLASSES, 3, 2, 2), (
        X, EDGE, ATTRIBUTES, GRAPHS,
    )  # fmt: skip
    yield "models.NeuralFingerprint", lambda: models.NeuralFingerprint(FEATURES, HIDDEN, CLASSES, 2), plain
    yield "models.SchNet", lambda: models.SchNet(HIDDEN, HIDDEN, 2, 8, interaction_graph=AllPairs()), (
        ATOMS, PLACES, GRAPHS,
    )  # fmt: skip
    yield "models.SGFormer", lambda: models.SGFormer(FEATURES, HIDDEN, CLASSES), (X, EDGE, GRAPHS)
    yield "models.Polynormer", lambda: models.Polynormer(FEATURES, HIDDEN, CLASSES), (X, EDGE, GRAPHS)
    yield "models.LightGCN", lambda: models.LightGCN(NODES, HIDDEN, 2), (EDGE, EDGE[:, :10])
    for block in ("res+", "res", "dense", "plain"):
        if block != "dense":
            yield f"DeepGCNLayer-{block}", lambda b=block: Deep(b), plain


class AllPairs(nn.Module):
    """Edges between the nodes of each graph, and their lengths."""

    def forward(self, places: Tensor, graphs: Tensor) -> tuple[Tensor, Tensor]:
        """Return edges and lengths."""
        edge = torch.nonzero((graphs[:, None] == graphs) & ~torch.eye(len(graphs), dtype=torch.bool)).T
        return edge, (places[edge[0]] - places[edge[1]]).norm(dim=-1)


def heterogeneous() -> Iterator[Entry]:
    """Yield networks of several kinds of nodes and edges."""
    kinds = (KINDS, LINKS)

    def convs(make: Callable[[int, int], nn.Module], width: int, out: int, how: str = "sum") -> nn.Module:
        return G.HeteroConv({link: make(width, out) for link in LINKS}, aggr=how)

    def bipartite(a: int, b: int) -> nn.Module:
        return G.SAGEConv((a, a), b)

    def attention(a: int, b: int) -> nn.Module:
        return G.GATv2Conv((a, a), b // 2, heads=2, add_self_loops=False)

    for name, make in (("SAGE", bipartite), ("GATv2", attention)):
        for how in ("sum", "max", "cat"):
            wide = HIDDEN * (2 if how == "cat" else 1)
            if how == "cat":
                continue
            yield f"HeteroConv-{name}-{how}", lambda m=make, h=how, w=wide: Hetero(
                convs(m, FEATURES, HIDDEN, h), convs(m, w, HIDDEN, h), w
            ), PAPERS  # fmt: skip
    yield "HGTConv", lambda: Hetero(
        G.HGTConv(FEATURES, HIDDEN, kinds, heads=2), G.HGTConv(HIDDEN, HIDDEN, kinds, heads=2)
    ), PAPERS  # fmt: skip
    yield "HANConv", lambda: Hetero(
        G.HANConv(FEATURES, HIDDEN, kinds, heads=2), G.HANConv(HIDDEN, HIDDEN, kinds, heads=2)
    ), PAPERS  # fmt: skip
    yield (
        "to_hetero",
        lambda: G.to_hetero(models.GraphSAGE((FEATURES, FEATURES), HIDDEN, 2, CLASSES), kinds),
        PAPERS,
    )
