"""Our methods and Torch-Pruning's on one scoreboard: same weights, epochs, data order, trainer and counting.

    python benchmarks/scoreboard.py --data fashion-mnist cifar10-jpeg --budgets 0.5 0.25 0.1 --seeds 3

For each data set and seed one dense ResNet-20 is trained, and every method starts from it. A trial is kept in
the results file as soon as it is done, so the script goes on where it was stopped; `--methods` chooses rows.
Methods are names of netsmith's, `tp-<pruner>` (torch_pruning_recipes.py) or `fastnas` (fastnas_recipe.py);
`<method>@0.5` trains at half the usual learning rate.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import textwrap
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import netsmith as ns
import torch_pruning_recipes as theirs
from fastnas_recipe import fastnas
from netsmith.cost import Cost
from netsmith.recipes import Job, Recipe
from netsmith.resolve import resolve_method
from netsmith.tasks import Task
from netsmith.train import default_optimizer

PEER = "tp-"
PEERS = ("magnitude", "bn_scale", "group_norm", "taylor", "hessian")
OURS = ("random", "scratch", "magnitude", "reconstruction")


def fit(model: nn.Module, task: Task, options: argparse.Namespace, seed: int, **settings: Any) -> Any:
    settings.pop("stage", None)
    shared = {"seed": seed, "augment": task.augment, "precision": options.precision, "progress": False}
    return ns.train.fit(model, task.train, **(shared | settings))


def dense(task: Task, options: argparse.Namespace, seed: int, folder: Path) -> nn.Module:
    """Return the network every method of a seed starts from, trained once."""
    torch.manual_seed(seed)
    model = ns.zoo.build("resnet20", classes=task.classes, input_shape=task.input_shape)
    kept = folder / f"{task.name}-{options.train_size}-{options.dense_epochs}-{seed}.nsm"
    if kept.exists():
        return ns.load(kept)
    fit(model, task, options, seed, epochs=options.dense_epochs)
    folder.mkdir(parents=True, exist_ok=True)
    ns.save(model, kept)
    return model


def recipe_of(name: str) -> Recipe:
    """Return one of ours or theirs by its name."""
    if name == "fastnas":
        return fastnas
    return getattr(theirs, name.removeprefix(PEER)) if name.startswith(PEER) else resolve_method(name)


def rated(model: nn.Module, settings: dict[str, Any], rate: str) -> dict[str, Any]:
    """Return the settings of a training with the usual learning rate times ``rate``, if there is one."""
    if not rate:
        return settings
    usual = settings.get("learning_rate") or default_optimizer(model).param_groups[0]["lr"]
    return settings | {"learning_rate": float(rate) * usual}


def trial(name: str, model: nn.Module, task: Task, share: float, options: Any, seed: int) -> dict[str, Any]:
    """Run one method and return what came of it."""
    name, _, rate = name.partition("@")
    inputs = task.test.tensors[0][:1]
    whole = Cost(ns.trace(model, inputs)).total()
    job = Job(
        model=copy.deepcopy(model),
        inputs=inputs,
        task=task,
        budget=ns.Budget(macs=share),
        epochs=options.epochs,
        seed=seed,
        fit=lambda network, **settings: fit(network, task, options, seed, **rated(network, settings, rate)),
    )
    torch.manual_seed(seed)
    began = time.process_time()
    small = recipe_of(name)(job)
    seconds = time.process_time() - began
    left = Cost(ns.trace(small, inputs)).total()
    return {
        "accuracy": 100 * task.evaluate(small),
        "macs": left["macs"] / whole["macs"],
        "params": left["params"] / whole["params"],
        "seconds": seconds,
    }


def tables(results: dict[str, Any]) -> str:
    """Return a Markdown table per data set: a row per method, accuracy per budget, CPU seconds of a trial."""
    cells: dict[tuple[str, str, str], list[dict[str, float]]] = defaultdict(list)
    shares: dict[str, dict[str, None]] = defaultdict(dict)
    methods = dict[str, None]()
    for key, found in results.items():
        data, share, method, _ = key.split("|")
        cells[data, method, share].append(found)
        shares[data][share] = methods[method] = None
    parts = []
    for data, columns in shares.items():
        heads = ["dense" if share == "1" else f"{float(share):.0%} MACs" for share in columns]
        lines = ["| " + " | ".join(["method", *heads, "CPU s"]) + " |", "|---" * (len(columns) + 2) + "|"]
        for method in methods:
            trials = [cells[data, method, share] for share in columns]
            spent = [trial["seconds"] for several in trials for trial in several if "seconds" in trial]
            cost = f"{statistics.mean(spent):.0f}" if spent else ""
            if any(trials):
                lines.append("| " + " | ".join([method, *map(_spread, trials), cost]) + " |")
        parts.append("\n".join([f"## ResNet-20 on {data}", "", *lines]))
    return "\n\n".join(parts)


def _spread(trials: list[dict[str, float]]) -> str:
    if not trials:
        return ""
    values = [trial["accuracy"] for trial in trials]
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation} ({len(values)})"


def page(results: dict[str, Any], options: argparse.Namespace) -> str:
    """Return the page with the tables and how they came about."""
    words = (
        "Written by `benchmarks/scoreboard.py`; do not edit by hand. Test accuracy in percent, mean ± sample "
        "standard deviation over (seeds). The dense networks were trained for "
        f"{options.dense_epochs} epochs on {options.train_size or 'all'} training images, each method had "
        f"{options.epochs} more. Weights, data order, augmentation, optimiser and schedule (a cosine from "
        f"SGD's 0.1, precision {options.precision}) are the same for all. `tp-` are the pruners of "
        f"Torch-Pruning {version('torch_pruning')}, `fastnas` is ModelOpt's. `random` and `scratch` (new "
        "weights, the same epochs) are controls. `@0.5`: at half the learning rate, which `reconstruction` "
        "takes by itself. CPU seconds of a trial, cut and training together, are one thread's on a shared "
        "machine."
    )
    return f"# Scoreboard\n\n{textwrap.fill(words, 110)}\n\n{tables(results)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["fashion-mnist", "cifar10-jpeg"])
    parser.add_argument(
        "--budgets", nargs="+", type=float, default=[0.5, 0.25, 0.1], help="shares of the MACs"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=[*OURS, *(PEER + name for name in PEERS), "fastnas"])
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--dense-epochs", type=int, default=160)
    parser.add_argument("--train-size", type=int, default=None, help="images; all if left out")
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("--results", type=Path, default=Path("scoreboard.json"))
    parser.add_argument("--page", type=Path, help="Markdown file to write the tables to")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    for seed in range(options.seeds):
        for data in options.data:
            task = ns.tasks.load(data, train_size=options.train_size)
            model = None
            for share in options.budgets:
                for method in options.methods:
                    key = f"{data}|{share}|{method}|{seed}"
                    if key in results:
                        continue
                    model = model or dense(task, options, seed, options.results.with_suffix(".dense"))
                    results.setdefault(f"{data}|1|dense|{seed}", {"accuracy": 100 * task.evaluate(model)})
                    results[key] = trial(method, model, task, share, options, seed)
                    options.results.write_text(json.dumps(results, indent=1))
                    print(key, {name: round(value, 3) for name, value in results[key].items()}, flush=True)
    print(tables(results))
    if options.page:
        options.page.write_text(page(results, options))


if __name__ == "__main__":
    main()
