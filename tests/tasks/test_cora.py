from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import netsmith.tasks
from netsmith.errors import DataError, NetsmithError
from netsmith.tasks.task import IGNORED


@pytest.fixture(scope="module")
def task(shared_data: Path) -> netsmith.tasks.Task:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETSMITH_DATA", str(shared_data))
        return netsmith.tasks.load("cora")


def test_published_sizes_and_split(task: netsmith.tasks.Task) -> None:
    (x, edges), targets = task.train[0]
    assert (x.shape, edges.shape) == ((2708, 1433), (2, 2 * 5278))
    assert (task.classes, task.input_shape, task.kind) == (7, (1433,), "nodes")
    assert targets[targets != IGNORED].bincount().tolist() == [20] * 7
    held_out = task.test[0][1]
    assert int((held_out != IGNORED).sum()) == 1000
    assert not bool(((targets != IGNORED) & (held_out != IGNORED)).any())
    torch.testing.assert_close(x.sum(dim=1), torch.ones(2708))
    # Undirected: every edge is there both ways, and no node cites itself.
    assert {tuple(edge) for edge in edges.t().tolist()} == {
        tuple(edge) for edge in edges.flip(0).t().tolist()
    }
    assert bool((edges[0] != edges[1]).all())


def test_an_edge_mostly_stays_within_a_field(task: netsmith.tasks.Task) -> None:
    (_, edges), targets = task.train[0]
    fields = torch.where(targets == IGNORED, task.test[0][1], targets)[edges]
    known = (fields != IGNORED).all(dim=0)
    same = (fields[0] == fields[1])[known].double().mean()
    assert same > 0.7


def test_only_held_out_nodes_are_measured(task: netsmith.tasks.Task) -> None:
    targets = task.test[0][1]

    class Told(nn.Module):
        """Right on 250 held-out nodes, and on all others."""

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            answer = targets.clamp(min=0)
            rows = (targets != IGNORED).nonzero().flatten()
            answer[rows[250:]] = (answer[rows[250:]] + 1) % 7
            return nn.functional.one_hot(answer, 7).float()

    assert task.evaluate(Told()) == 0.25


def test_what_exports_are_made_with_is_a_graph_of_its_own(task: netsmith.tasks.Task) -> None:
    x, edges = task.varying.example
    assert len(x) == 200
    assert 0 <= int(edges.min()) <= int(edges.max()) < 200


def test_a_changed_file_is_not_unpickled(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shared_data / "planetoid", tmp_path / "planetoid")
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    monkeypatch.setattr("pickle.load", lambda *_, **__: pytest.fail("unpickled"))
    with (tmp_path / "planetoid" / "ind.cora.graph").open("ab") as file:
        file.write(b".")
    with pytest.raises(DataError, match=r"wrong checksum of .*ind\.cora\.graph: expected sha256 58f13302"):
        netsmith.tasks.load("cora")


@pytest.mark.parametrize("name", ["cora", "proteins", "mutag"])
def test_missing_library_is_one_clear_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsmith.optional.find_spec", lambda library: None)
    with pytest.raises(NetsmithError) as error:
        netsmith.tasks.load(name)
    assert str(error.value) == (
        f"data set {name!r} needs torch_geometric, which is not installed; run pip install 'netsmith[graph]'"
    )
