from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import torch

import netsmith.tasks
from netsmith.errors import DataError
from netsmith.tasks.batches import batch_of
from netsmith.tasks.tu_text import read_tu

# Graphs, of each class, average nodes, average edges, tags: as the sets' home page gives them.
PUBLISHED = {"mutag": (188, [63, 125], 17.93, 19.79, 7), "proteins": (1113, [663, 450], 39.06, 72.82, 3)}


@pytest.fixture
def own_copy(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a real file that a test may damage."""
    folder = tmp_path / "tudataset"
    folder.mkdir()
    shutil.copyfile(shared_data / "tudataset" / "MUTAG.txt.gz", folder / "MUTAG.txt.gz")
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    return folder / "MUTAG.txt.gz"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(shared_data))
    task = netsmith.tasks.load(name)
    graphs = [*task.train.graphs, *task.test.graphs]
    count, classes, nodes, edges, tags = PUBLISHED[name]
    labels = torch.cat([graph.y for graph in graphs])
    assert (len(graphs), labels.bincount().tolist(), task.input_shape) == (count, classes, (tags,))
    assert sum(graph.num_nodes for graph in graphs) / count == pytest.approx(nodes, abs=0.01)
    assert sum(graph.num_edges for graph in graphs) / 2 / count == pytest.approx(edges, abs=0.01)
    held_out = torch.cat([graph.y for graph in task.test.graphs]).double().mean()
    assert float(held_out) == pytest.approx(float(labels.double().mean()), abs=0.01)


def test_split_is_always_the_same(own_copy: Path) -> None:
    first, second = (netsmith.tasks.load("mutag", train_size=40, test_size=10) for _ in range(2))
    assert (len(first.train), len(first.test)) == (40, 10)
    assert torch.cat([graph.y for graph in first.train.graphs]).bincount().tolist() == [20, 20]
    for one, other in zip(first.train.graphs, second.train.graphs, strict=True):
        assert torch.equal(one.edge_index, other.edge_index)


def test_graphs_by_hand_and_their_union() -> None:
    graphs = read_tu("2\n3 1\n5 1 1\n5 2 0 2\n9 1 1\n1 0\n9 0\n")
    assert graphs[0].x.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert graphs[0].edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert (graphs[1].edge_index.shape, [int(graph.y) for graph in graphs]) == ((2, 0), [1, 0])
    data = netsmith.tasks.graphs.Graphs(graphs)
    (x, edges, batch), targets = batch_of(data, [1, 0])
    assert x.tolist() == [[0, 1], [1, 0], [1, 0], [0, 1]]
    assert edges.tolist() == [[1, 2, 2, 3], [2, 1, 3, 2]]
    assert (batch.tolist(), targets.tolist()) == ([0, 1, 1, 1], [0, 1])


def test_a_changed_and_a_truncated_file(own_copy: Path) -> None:
    content = gzip.decompress(own_copy.read_bytes())
    own_copy.write_bytes(gzip.compress(content.replace(b"2", b"3", 1)))
    with pytest.raises(DataError, match=r"wrong checksum of .*expected sha256 5897dae2"):
        netsmith.tasks.load("mutag")
    own_copy.write_bytes(own_copy.read_bytes()[:500])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        netsmith.tasks.load("mutag")
