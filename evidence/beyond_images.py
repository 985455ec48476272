"""Language models and graph networks halved in MACs: what accuracy and measured time are left?

A GRU and a Transformer of BERT-small's shape (512 wide, 4 layers, 8 heads) on Penn Treebank, a GCN on
Cora, a GIN on PROTEINS: each is trained once, then cut by ``netsmith compress`` to half its MACs, by
magnitude and by DeepHoyer from the same weights. The language models see the 2,000 most frequent words
(the rest is ``<unk>``, so perplexities do not compare with published ones) and the first 6,400 windows of
35 words (GRU) or 1,600 of 32 (Transformer), for the number of epochs in the table: minutes of one core,
and far from trained out. After so few steps the Transformer still says the most frequent word everywhere
(its accuracy is that word's share), so its rows show what a cut saves and not what it costs; the GRU goes
on learning after its cut. Times are of whatever else the machine did, before and after in turns, so that
only their ratios count. The quick tier only cuts narrow networks, trained for one epoch.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import netsmith as ns
from common import Evidence
from netsmith.calling import call

METHODS = ("magnitude", "deephoyer")
TEXT = {"words": 2000}


class Setting(NamedTuple):
    """A network, its data, and how long it trains."""

    model: str
    data: str
    options: dict[str, Any]
    width: float
    dense_epochs: int
    epochs: int
    learning_rate: float | None = None


FULL = (
    Setting("gcn", "cora", {}, 1.0, 20, 20),
    Setting("gin", "proteins", {}, 1.0, 20, 20),
    Setting("gru", "ptb", {**TEXT, "length": 35, "train_size": 6400, "test_size": 400}, 1.0, 6, 4),
    Setting(
        "bert-small", "ptb", {**TEXT, "length": 32, "train_size": 1600, "test_size": 200}, 1.0, 3, 2, 5e-4
    ),
)
QUICK = (
    Setting("gcn", "cora", {}, 0.5, 1, 0),
    Setting("gin", "mutag", {"train_size": 20, "test_size": 10}, 0.25, 1, 0),
    Setting("gru", "ptb", {"words": 50, "length": 4, "train_size": 32, "test_size": 8}, 0.08, 1, 0),
    Setting("bert-small", "ptb", {"words": 50, "length": 4, "train_size": 32, "test_size": 8}, 0.0625, 1, 0),
)


def main() -> int:
    with Evidence("beyond-images") as evidence:
        for setting in FULL if evidence.full else QUICK:
            task = ns.tasks.load(setting.data, **setting.options)
            dense = trained(setting, task, evidence.seed)
            if not evidence.full:
                cut_only(evidence, setting, task, dense)
                continue
            for method in METHODS:
                halved(evidence, setting, task, dense, method)
    return evidence.status


def trained(setting: Setting, task: ns.tasks.Task, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = ns.zoo.build(
        setting.model,
        classes=task.classes,
        input_shape=task.input_shape,
        kind=task.kind,
        width=setting.width,
    )
    ns.train.fit(
        model,
        task.train,
        loss=task.batch_loss,
        epochs=setting.dense_epochs,
        batch_size=task.defaults.batch_size or 16,
        learning_rate=setting.learning_rate or task.defaults.learning_rate,
        evaluate=task.evaluate,
        seed=seed,
        device="cpu",
        progress=setting in FULL,
    )
    return model.eval()


def cut_only(evidence: Evidence, setting: Setting, task: ns.tasks.Task, dense: nn.Module) -> None:
    inputs = task.example()
    small = ns.shrink(dense, inputs, budget=ns.Budget(macs=0.5))
    macs = [ns.profile(model, inputs).total["macs"] for model in (small, dense)]
    name = f"{setting.model} on {setting.data}, narrow"
    share = macs[0] / macs[1]
    evidence.row(f"{name}: MACs left", reference="<= 0.5", got=share, holds=share <= 0.5)
    change = f"{task.evaluate(dense):.4g} -> {task.evaluate(small):.4g}"
    evidence.row(f"{name}: accuracy, 1 epoch", reference="recorded", got=change, holds=None)


def halved(evidence: Evidence, setting: Setting, task: ns.tasks.Task, dense: nn.Module, method: str) -> None:
    """Cut to half the MACs, and add what was seen to the table."""
    rate = {} if setting.learning_rate is None else {"learning_rate": setting.learning_rate}
    if rate and method == "deephoyer":
        rate["finetune_rate"] = setting.learning_rate
    with tempfile.TemporaryDirectory() as folder:
        result = ns.compress(
            dense,
            task,
            method=method,
            budget="macs=0.5",
            epochs=setting.epochs,
            seed=evidence.seed,
            out=Path(folder) / "run",
            device="cpu",
            options=rate,
        )
        again = ns.load(Path(folder) / "run" / "model.nsm", into=fresh(setting, task))
        same = torch.equal(outputs(again, task), outputs(result.model, task))
    report(evidence, f"{setting.model} on {setting.data}, {method}", setting, result, same)


def fresh(setting: Setting, task: ns.tasks.Task) -> nn.Module:
    return ns.zoo.build(
        setting.model, classes=task.classes, input_shape=task.input_shape, kind=task.kind, width=setting.width
    )


def outputs(model: nn.Module, task: ns.tasks.Task) -> Tensor:
    with torch.no_grad():
        return call(model.eval(), task.example(4))


def report(evidence: Evidence, name: str, setting: Setting, result: ns.Result, same: bool) -> None:
    before, after = result.before, result.after
    share = after["macs"] / before["macs"]
    evidence.row(f"{name}: MACs left", reference="<= 0.5", got=share, holds=share <= 0.5)
    epochs = f"{setting.dense_epochs} + {setting.epochs} epochs"
    for metric in ("accuracy", "perplexity"):
        if metric in after:
            change = f"{before[metric]:.4g} -> {after[metric]:.4g}"
            evidence.row(f"{name}: {metric}, {epochs}", reference="recorded", got=change, holds=None)
    for key, runtime in (("latency_s", "ONNX Runtime"), ("eager_s", "PyTorch")):
        change = f"{1000 * before[key]:.3g} -> {1000 * after[key]:.3g}"
        evidence.row(f"{name}: ms of one input in {runtime}", reference="recorded", got=change, holds=None)
        left = after[key] / before[key]
        evidence.row(f"{name}: time left in {runtime}", reference="< 1", got=left, holds=left < 1)
    export = result.details["export"]
    gap = export["max_relative_difference"]
    evidence.row(f"{name}: ONNX against PyTorch", reference="<= 1e-4", got=gap, holds=gap <= 1e-4)
    varying = [size for sizes in export["inputs"].values() for size in sizes if isinstance(size, str)]
    evidence.row(
        f"{name}: sizes the ONNX file takes",
        reference="some vary",
        got=str(export["inputs"]),
        holds=bool(varying),
    )
    evidence.row(f"{name}: the saved file gives the same logits", reference=True, got=same, holds=same)
    if not all(math.isfinite(value) for value in after.values()):
        raise ValueError(f"{name} measured {after}")


if __name__ == "__main__":
    sys.exit(main())
