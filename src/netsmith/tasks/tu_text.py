"""Sets of small graphs from TU Dortmund, in the text form of Xu et al. 2019, arXiv:1810.00826."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from netsmith.errors import DataError
from netsmith.tasks.graphs import Graphs, require_graphs
from netsmith.tasks.source import Remote, locate
from netsmith.tasks.subset import balanced
from netsmith.tasks.task import Defaults, Task, Varying

if TYPE_CHECKING:
    from torch_geometric.data import Data

_HOME = "https://raw.githubusercontent.com/muhanzhang/pytorch_DGCNN/master/data/"


def load_tu(task: str, set_name: str, sha256: str, *, train_size: int | None, test_size: int | None) -> Task:
    """Return a task of graph classification; always the same stratified split, a fifth held out.

    A node's features are its tag, one-hot. Inputs are ``(x, edge_index, batch)``, logits
    ``[graphs, classes]``.

    Args:
        task: name of the task.
        set_name: name of the set, as its file is called.
        sha256: of the text, uncompressed.
        train_size: keep a class-balanced subset of so many training graphs.
        test_size: the same for the held-out ones.

    Raises:
        NetsmithError: PyTorch Geometric is not installed.
        DataError: the file is missing or not the published one, or a size does not fit it.
    """
    require_graphs(task)
    from sklearn.model_selection import train_test_split

    graphs = read_tu(_text(set_name, sha256))
    labels = torch.cat([graph.y for graph in graphs])
    halves = train_test_split(range(len(graphs)), test_size=0.2, stratify=labels, random_state=0)
    parts = []
    for rows, size in zip(halves, (train_size, test_size), strict=True):
        chosen = balanced(labels[torch.tensor(rows)], size)
        parts.append(Graphs([graphs[rows[int(k)]] for k in chosen]))
    example = parts[1].collate(parts[1].graphs[:3])[0]
    return Task(
        name=task,
        train=parts[0],
        test=parts[1],
        classes=int(labels.max()) + 1,
        input_shape=(int(graphs[0].x.shape[1]),),
        kind="graphs",
        varying=Varying(({0: "nodes"}, {1: "edges"}, {0: "nodes"}), example),
        defaults=Defaults(learning_rate=0.01),
    )


def read_tu(text: str) -> list[Data]:
    """Return the graphs of a text: their number, then each as ``nodes label`` and a line per node.

    A node's line is ``tag degree neighbour ...``. Labels and tags are numbered in ascending order.

    >>> graphs = read_tu("1\\n2 7\\n0 1 1\\n4 1 0\\n")
    >>> graphs[0].edge_index.tolist(), graphs[0].x.tolist(), graphs[0].y.tolist()
    ([[0, 1], [1, 0]], [[1.0, 0.0], [0.0, 1.0]], [0])
    """
    from torch_geometric.data import Data

    read = list(_graphs(iter([[int(word) for word in line.split()] for line in text.splitlines()])))
    labels = sorted({label for label, _ in read})
    tags = sorted({node[0] for _, nodes in read for node in nodes})
    graphs = []
    for label, nodes in read:
        edges = [(here, there) for here, node in enumerate(nodes) for there in node[2:]]
        number = torch.tensor([tags.index(node[0]) for node in nodes])
        graphs.append(
            Data(
                x=F.one_hot(number, len(tags)).float(),
                edge_index=torch.tensor(edges, dtype=torch.int64).view(-1, 2).t().contiguous(),
                y=torch.tensor([labels.index(label)]),
            )
        )
    return graphs


def _graphs(lines: Iterator[list[int]]) -> Iterator[tuple[int, list[list[int]]]]:
    for _ in range(next(lines)[0]):
        nodes, label = next(lines)
        yield label, [next(lines) for _ in range(nodes)]


def _text(name: str, sha256: str) -> str:
    remote = Remote(f"{_HOME}{name}/{name}.txt", f"sha256:{sha256}")
    path = locate("tudataset", (f"{name}.txt", f"{name}.txt.gz"), remote=remote)
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"wrong checksum of {path} (uncompressed): expected sha256 {sha256}, got {found}; "
            "replace it with an unchanged copy"
        )
    return content.decode()


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file ({error}); replace it with an unchanged copy"
        ) from error
