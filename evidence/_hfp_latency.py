"""HFP against the clock: how well the latency table predicts, and budgets that are met as measured."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from common import Evidence
from netsmith import tasks
from netsmith.contracts import Score
from netsmith.cost import Budget, Cost
from netsmith.cost.latency import LatencyTable
from netsmith.cost.runners import OnnxRuntime
from netsmith.files.onnx import export
from netsmith.files.runtime import time_onnx
from netsmith.graph import trace
from netsmith.recipes.opti_cut import OptiCut
from netsmith.scores.information_gain import InformationGain
from netsmith.scores.magnitude import magnitude
from netsmith.scores.random import Random
from netsmith.tasks.task import Task
from netsmith.train import fit
from netsmith.zoo.small_cnn import small_cnn


def percent(task: Task, model: nn.Module) -> float:
    return 100 * task.evaluate(model)


def opti_cut(task: Task, budget: Budget, score: Score, chunk: float, seed: int, rate: float) -> OptiCut:
    def tune(model: nn.Module, number: int, chunks: int) -> None:
        fit(model, task.train, epochs=1, learning_rate=rate, seed=seed + number, progress=False)

    inputs = torch.zeros(1, *task.input_shape)
    return OptiCut(inputs=inputs, budget=budget, score=score, tune=tune, chunk=chunk)


def convnet(widths: list[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for number, (c_in, c_out) in enumerate(zip([3, *widths], widths, strict=False)):
        stride = 2 if number in (1, 3) else 1
        layers += [nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)).eval()


def table_predicts(evidence: Evidence) -> None:
    """Check 2: batch 1, one thread, ONNX Runtime; widths drawn from 4 to 64."""
    inputs = torch.randn(1, 3, 32, 32)
    graph = trace(convnet([64] * 5), inputs)
    tables = {"every width": LatencyTable(cache=False), "every 8th": LatencyTable(grid=8, cache=False)}
    for table in tables.values():
        table.calibrate(graph, convnet([64] * 5), inputs)
    generator = torch.Generator().manual_seed(evidence.seed)
    drawn = torch.randint(4, 65, (25, 5), generator=generator).tolist()
    keeps = [
        {g.name: torch.arange(64) < w for g, w in zip(graph.groups, widths, strict=True)} for widths in drawn
    ]
    runner = OnnxRuntime(threads=1)
    measured = [runner.model(convnet(widths), inputs) for widths in drawn]
    for name, table in tables.items():
        predicted = [table.latency(graph, keep) for keep in keeps]
        rank = float(spearmanr(predicted, measured).statistic)
        error = statistics.median(abs(p / m - 1) for p, m in zip(predicted, measured, strict=True))
        entries = len(table.entries)
        evidence.row(
            f"2: Spearman(predicted, measured), {name}, {entries} entries",
            reference=">= 0.8 (card 0.85)" if table.grid == 1 else "-",
            got=rank,
            holds=rank >= 0.8 if table.grid == 1 else None,
        )
        evidence.row(
            f"2: median relative error, {name}",
            reference="<= 0.25 (card 0.18)" if table.grid == 1 else "-",
            got=error,
            holds=error <= 0.25 if table.grid == 1 else None,
        )
    macs = [Cost(graph).total(keep)["macs"] for keep in keeps]
    rank = float(spearmanr(macs, measured).statistic)
    evidence.row("2: Spearman(MACs, measured), beside it", reference="-", got=rank, holds=None)


def latency_budgets(evidence: Evidence) -> None:
    """Check 3: Fashion-MNIST, 10,000 training images, the small CNN, batch 1, ONNX Runtime, one thread."""
    task = tasks.load("fashion-mnist", train_size=10_000)
    table = LatencyTable(cache=False)
    inputs = torch.zeros(1, *task.input_shape)
    torch.manual_seed(evidence.seed)
    for share in (0.8, 0.6, 0.4):
        one_budget(evidence, small_cnn(width=3.0), task, table, share)
    results: dict[str, list[float]] = {"information gain": [], "magnitude": [], "random": []}
    for seed in range(3):
        torch.manual_seed(seed)
        dense = small_cnn()
        fit(dense, task.train, epochs=3, seed=seed, progress=False)
        gain = InformationGain(task.train.tensors[0][:256], temperature=2.0)
        generator = torch.Generator().manual_seed(seed)
        scores: dict[str, Score] = {
            "information gain": gain,
            "magnitude": magnitude,
            "random": Random(generator),
        }
        for name, score in scores.items():
            cut = opti_cut(task, Budget(latency=0.4), score, 0.7, seed, rate=0.02)
            cut.inputs, cut.latency = inputs, table
            model = cut(dense)
            fit(model, task.train, epochs=1, learning_rate=0.02, seed=seed, progress=False)
            results[name].append(percent(task, model))
    gained = statistics.mean(results["information gain"])
    for name, values in results.items():
        mean, spread = statistics.mean(values), statistics.stdev(values)
        claim = f"3: {name}, accuracy at 40% latency, 3 epochs after, 3 seeds, %"
        holds = None if name == "information gain" else gained >= mean
        reference = "-" if holds is None else f"at most {gained:.2f}"
        evidence.row(claim, reference=reference, got=f"{mean:.2f} +- {spread:.2f}", holds=holds)


def one_budget(evidence: Evidence, dense: nn.Module, task: Task, table: LatencyTable, share: float) -> None:
    """Cut a wider, untrained CNN to a share of its latency; compare prediction and measurement."""
    inputs, images = torch.zeros(1, *task.input_shape), task.train.tensors[0][:64]
    score = InformationGain(images, draws=4)
    cut = OptiCut(inputs=inputs, budget=Budget(latency=share), score=score, latency=table)
    small = cut(dense)
    graph = trace(dense, inputs)
    limit = share * table.latency(graph)
    left = {g.name: len(small.get_parameter(g.name.removesuffix(":0"))) for g in graph.groups}
    keep = {g.name: torch.arange(g.size) < left[g.name] for g in graph.groups}
    predicted = table.latency(graph, keep)
    wider = [
        {**keep, g.name: torch.arange(g.size) <= int(keep[g.name].sum())}
        for g in graph.groups
        if not bool(keep[g.name].all())
    ]
    step = max(table.latency(graph, one) - predicted for one in wider)
    slack = limit - predicted
    holds = predicted <= limit and slack < step
    widths = [int(mask.sum()) for mask in keep.values()]
    claim = f"3: budget {share:.0%}, widths {widths}: slack of the prediction, us"
    evidence.row(claim, reference=f"0 to one filter, {step * 1e6:.3g}", got=slack * 1e6, holds=holds)
    before, after = measured_ms([dense, small], inputs)
    ratio = after / before
    checks = sum("measured" in one for one in cut.steps)
    claim = f"3: budget {share:.0%}: measured share of the latency, {checks} measurements"
    evidence.row(claim, reference=f"within 15% of {share}", got=ratio, holds=abs(ratio / share - 1) <= 0.15)


def measured_ms(models: list[nn.Module], inputs: Tensor) -> list[float]:
    """Return the median milliseconds of each model, interleaved, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {str(number): Path(folder) / f"{number}.onnx" for number in range(len(models))}
        for model, path in zip(models, paths.values(), strict=True):
            export(model, inputs, path, check=False, dynamic_batch=False)
        size = len(inputs)
        times = time_onnx(paths, inputs, batches=(size,), repeats=41, threads=1)
    return [1e3 * one[size] for one in times.values()]
