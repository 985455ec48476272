"""Cora: the field of 2,708 papers, from 1,433 words and who cites whom; one graph.

Sen, Namata, Bilgic, Getoor, Gallagher, Eliassi-Rad, Collective classification in network data (2008), with
the split of Yang, Cohen, Salakhutdinov, Revisiting semi-supervised learning with graph embeddings (2016),
arXiv:1603.08861.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from netsmith.tasks.graphs import WholeGraph, require_graphs
from netsmith.tasks.source import Remote, locate, verify
from netsmith.tasks.task import IGNORED, Defaults, Task, Varying

_HOME = "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data/"
_SHA256 = {
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
}
STEPS = 10
"""Steps of an epoch, so that as many epochs make sense as elsewhere."""


def load() -> Task:
    """Return the task ``cora``: every step sees the whole graph, and a loss on 140 of its nodes.

    The standard split: 140 nodes to train on, 20 of each class, and 1,000 held out; the 500 for validation
    are in neither. The words of a paper are scaled to sum to 1. Inputs are ``(x [2708, 1433], edge_index
    [2, 10556])``, logits ``[2708, 7]``; an epoch is 10 steps.

    Raises:
        NetsmithError: PyTorch Geometric, which reads the files, is not installed.
        DataError: the files are missing or not the published ones.
    """
    require_graphs("cora")
    from torch_geometric.io import read_planetoid_data

    # The files are pickles: nothing of them is read before all are known to be the published ones.
    graph = read_planetoid_data(str(_checked_folder()), "cora")
    x = graph.x / graph.x.sum(dim=1, keepdim=True).clamp(min=1.0)
    train, test = (graph.y.where(mask, IGNORED) for mask in (graph.train_mask, graph.test_mask))
    return Task(
        name="cora",
        train=WholeGraph(x, graph.edge_index, train, steps=STEPS),
        test=WholeGraph(x, graph.edge_index, test),
        classes=int(graph.y.max()) + 1,
        input_shape=(x.shape[1],),
        kind="nodes",
        varying=Varying(({0: "nodes"}, {1: "edges"}), _beginning(x, graph.edge_index, 200)),
        defaults=Defaults(batch_size=1, learning_rate=0.01),
    )


def _checked_folder() -> Path:
    paths = [
        locate("planetoid", (name,), remote=Remote(_HOME + name, f"sha256:{checksum}"))
        for name, checksum in _SHA256.items()
    ]
    for path in paths:
        verify(path, f"sha256:{_SHA256[path.name]}")
    return paths[0].parent


def _beginning(x: Tensor, edge_index: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Return the part of a graph between its first nodes."""
    inside = (edge_index < nodes).all(dim=0)
    return torch.clone(x[:nodes]), edge_index[:, inside]
