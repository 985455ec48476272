"""Language models and graph networks through ``compress``: what it writes, resumes and says."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.calling import call
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.tasks.task import Defaults
from netsmith.workflow.stages import Stages

SETS = {
    "gru": ("ptb", {"words": 40, "length": 6, "train_size": 64, "test_size": 16}, 0.08, "deephoyer"),
    "gin": ("mutag", {"train_size": 40, "test_size": 20}, 0.25, "magnitude"),
}


def parts(name, shared_data, monkeypatch):
    monkeypatch.setenv("NETSMITH_DATA", str(shared_data))
    data, options, width, method = SETS[name]
    task = ns.tasks.load(data, **options)
    torch.manual_seed(0)
    model = ns.zoo.build(
        name, classes=task.classes, input_shape=task.input_shape, kind=task.kind, width=width
    )
    return task, model, method


@pytest.mark.parametrize("name", SETS)
def test_halved_measured_saved_and_found_again(name, shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr("netsmith.workflow.exports.HALF_SECOND", 0.01)
    task, model, method = parts(name, shared_data, monkeypatch)
    settings = {"method": method, "budget": "macs=0.5", "epochs": 2, "dense_epochs": 1, "progress": False}
    result = ns.compress(model, task, out=tmp_path / "run", **settings)
    assert result.after["macs"] <= 0.5 * result.before["macs"]
    assert result.after["latency_s"] > 0
    assert result.after["eager_s"] > 0
    assert ("perplexity" in result.after) == (name == "gru")
    assert result.after["accuracy"] == task.evaluate(result.model)
    export = result.details["export"]
    assert export["max_relative_difference"] < 1e-4
    varying = {size for sizes in export["inputs"].values() for size in sizes if isinstance(size, str)}
    assert varying == ({"batch", "time"} if name == "gru" else {"nodes", "edges"})
    assert {path.name for path in (tmp_path / "run").glob("*.*")} >= {
        "model.nsm", "model.onnx", "report.html", "result.json",
    }  # fmt: skip
    assert "sizes with a name vary" in (tmp_path / "run" / "report.html").read_text()
    again = ns.compress(model, task, out=tmp_path / "run", resume=True, **settings)
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again.to_json() == written
    with torch.no_grad():
        inputs = task.example(5)
        assert torch.equal(call(again.model.eval(), inputs), call(result.model.eval(), inputs))
        program = ns.load_program(tmp_path / "run" / "model.nsm").module()
        torch.testing.assert_close(call(program, inputs), call(result.model, inputs))


class FixedLength(nn.Module):
    """Reads six tokens, no more and no fewer."""

    def __init__(self, tokens):
        super().__init__()
        self.embedding, self.mix = nn.Embedding(tokens, 4), nn.Linear(6, 16)
        self.unmix, self.head = nn.Linear(16, 6), nn.Linear(4, tokens)

    def forward(self, ids):
        across = self.embedding(ids).transpose(1, 2)
        return self.head(self.unmix(self.mix(across).relu()).transpose(1, 2))


def test_sizes_that_cannot_vary_are_said(shared_data, monkeypatch):
    monkeypatch.setattr("netsmith.workflow.exports.HALF_SECOND", 0.01)
    task, _, _ = parts("gru", shared_data, monkeypatch)
    result = ns.compress(FixedLength(task.classes), task, budget="macs=0.5", epochs=1, progress=False)
    assert result.details["export"]["inputs"] == {"ids": [1, 6]}
    assert set(result.details["latency"]["batches"]) == {"1"}


def test_scores_of_single_samples_are_refused_for_graphs(shared_data, monkeypatch):
    task, model, _ = parts("gin", shared_data, monkeypatch)
    with pytest.raises(NetsmithError, match="hfp scores channels sample by sample, and data set 'mutag'"):
        ns.compress(model, task, method="hfp", budget="macs=0.5", epochs=1, progress=False)


def test_a_model_for_other_data_is_refused_before_anything_starts():
    with pytest.raises(NetsmithError, match="model 'gru' reads tokens, the data has images; take "):
        ns.compress("gru", "digits", budget="macs=0.5")
    with pytest.raises(UnknownNameError, match="unknown model 'gcm'; did you mean gcn"):
        ns.compress("gcm", "digits", budget="macs=0.5")


def test_a_task_says_what_training_on_it_takes_and_a_recipe_may_say_otherwise(shared_data, monkeypatch):
    seen = []
    monkeypatch.setattr("netsmith.train.fit", lambda *args, **given: seen.append(given) or ns.train.History())
    task, model, _ = parts("gin", shared_data, monkeypatch)
    assert task.defaults == Defaults(learning_rate=0.01)
    stages = Stages(task=task, inputs=task.example(), epochs=3, seed=0, dense_macs=1.0, progress=False)
    stages.fit(model, epochs=1, stage="one")
    stages.fit(model, epochs=1, stage="two", learning_rate=None)
    stages.fit(model, epochs=1, stage="three", learning_rate=0.5, batch_size=4)
    assert [given["learning_rate"] for given in seen] == [0.01, 0.01, 0.5]
    assert [given["batch_size"] for given in seen] == [16, 16, 4]
