"""A realistic result: ResNet-20 on Fashion-MNIST, cut to 30 % of its MACs."""

from __future__ import annotations

import math
from typing import Any

KEPT = {16: 9, 32: 17, 64: 31}


def layers() -> list[dict[str, Any]]:
    """The 19 convolutions and the classifier of a ResNet-20 on 28x28 images, with plausible survivors."""
    rows = [_layer("conv1", "conv", (1, 1), (16, KEPT[16]), 9, 784)]
    width = 16
    for stage, (planes, area) in enumerate(((16, 784), (32, 196), (64, 49)), start=1):
        for block in range(3):
            inner = planes, max(2, round(planes * (0.24 + 0.11 * ((stage * 3 + block * 5) % 4))))
            outer = planes, KEPT[planes]
            rows.append(_layer(f"layer{stage}.{block}.conv1", "conv", (width, KEPT[width]), inner, 9, area))
            rows.append(_layer(f"layer{stage}.{block}.conv2", "conv", inner, outer, 9, area))
            width = planes
    return [*rows, _layer("fc", "linear", (64, KEPT[64]), (10, 10), 1, 1)]


def _layer(
    name: str, kind: str, c_in: tuple[int, int], c_out: tuple[int, int], taps: int, area: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "kind": kind}
    for when, inputs, outputs in zip(("before", "after"), c_in, c_out, strict=True):
        row[f"width_{when}"] = outputs
        row[f"params_{when}"] = inputs * outputs * taps
        row[f"macs_{when}"] = inputs * outputs * taps * area
    return row


def history() -> list[dict[str, Any]]:
    """Ten dense, twelve sparse and eight fine-tuning epochs."""
    rows = []
    for epoch in range(1, 11):
        loss = 0.24 + 0.55 * math.exp(-epoch / 3)
        rows.append(_epoch("dense", epoch, loss, 0.0, 0.915 - 0.15 * math.exp(-epoch / 2.5), 1.0))
    for epoch in range(1, 13):
        wave = 0.006 * math.sin(2.1 * epoch)
        penalty = 0.09 + 0.31 * math.exp(-epoch / 4)
        share = 0.30 + 0.7 * math.exp(-epoch / 3.2)
        rows.append(
            _epoch("sparse", epoch, 0.33 - 0.006 * epoch, penalty, 0.893 + wave + 0.001 * epoch, share)
        )
    for epoch in range(1, 9):
        rows.append(
            _epoch("fine-tune", epoch, 0.27 - 0.01 * epoch, 0.0, 0.913 - 0.05 * math.exp(-epoch / 2), 0.2968)
        )
    return rows


def _epoch(stage: str, epoch: int, loss: float, penalty: float, metric: float, macs: float) -> dict[str, Any]:
    return {
        "stage": stage,
        "epoch": epoch,
        "loss": loss,
        "penalty": penalty,
        "metric": metric,
        "macs": macs,
        "learning_rate": 0.1,
        "seconds": 14.2,
    }


def result(**changes: Any) -> dict[str, Any]:
    """The whole content of a report; ``changes`` replace parts of it."""
    rows = layers()
    before, after = (sum(row[f"macs_{when}"] for row in rows) for when in ("before", "after"))
    content: dict[str, Any] = {
        "name": "resnet20 on fashion-mnist",
        "model": "resnet20",
        "data": "fashion-mnist",
        "method": "deephoyer",
        "seed": 0,
        "seconds": 431.7,
        "dense_epochs": 10,
        "epochs": 20,
        "time": {"dense": 130.2, "method": 271.0},
        "command": "netsmith compress --model resnet20 --data fashion-mnist --method deephoyer "
        "--budget macs=0.3,latency=2ms --epochs 30 --seed 0 --out runs/resnet20",
        "versions": {"netsmith": "0.1.0", "torch": "2.9.1", "onnxruntime": "1.23.2", "python": "3.12.4"},
        "machine": {"processor": "AMD EPYC 7763", "cores": 2, "system": "Linux 6.1", "device": "cpu"},
        "budget": {"macs": 0.3, "latency": "2ms"},
        "before": {
            "accuracy": 0.9214,
            "params": 271_834,
            "macs": before,
            "bytes": 1_121_432,
            "latency_s": 2.94e-3,
            "energy_j": 1.13e-3,
        },
        "after": {
            "accuracy": 0.9187,
            "params": 79_411,
            "macs": after,
            "bytes": 342_120,
            "latency_s": 1.21e-3,
            "energy_j": 0.39e-3,
        },
        "history": history(),
        "stages": {"dense": 0.9214, "cut": 0.8342, "fine-tuned": 0.9187},
        "layers": rows,
        "latency": {
            "runtime": "ONNX Runtime 1.23.2",
            "threads": 2,
            "batches": {
                "1": {"before": 2.94e-3, "after": 1.21e-3},
                "32": {"before": 61.2e-3, "after": 27.9e-3},
            },
        },
        "export": {"max_relative_difference": 2.8e-7},
        "records": [{"kind": "remove", "tensors": {}, "attributes": {}, "groups": groups()}],
        "notes": {"strength": 2e-4, "rounding": "auto: widths are multiples of 8 where that was faster"},
        "warnings": ["At batch 32 the time fell less than the MACs: 2.2 times against 3.4 times."],
        "frozen": {
            "fc.weight:0": "class logits",
            "fc.bias:0": "class logits",
            "conv1.weight:1": "input of the model",
        },
    }
    return content | changes


def missed() -> dict[str, Any]:
    """A small network that missed its budgets and got slower, after a single epoch."""
    first, second = ((784, 784), (300, 120)), ((300, 120), (100, 61))
    tiny = [_layer("fc1", "linear", *first, 1, 1), _layer("fc2", "linear", *second, 1, 1)]
    return result(
        name=None,
        model="lenet.py:build",
        layers=tiny,
        budget={"macs": 0.2, "bytes": "300kB", "energy": "1mJ"},
        before={"accuracy": 0.98, "macs": 265_200, "bytes": 1_060_000, "latency_s": 3e-3},
        after={"accuracy": 0.5, "macs": 101_400, "bytes": 410_000, "latency_s": 3.4e-3},
        latency={"runtime": "ONNX Runtime", "batches": {"1": {"before": 3e-3, "after": 3.4e-3}}},
        history=[{"epoch": 1, "loss": 0.5, "penalty": None, "metric": 0.5}],
        stages=None,
        warnings=["MACs fell but the time did not.", "A layer could not be cut."],
    )


def groups() -> dict[str, list[int]]:
    """Channels removed from each group of coupled channels."""
    return {
        "conv1.weight:0": list(range(7)),
        "layer1.0.conv1.weight:0": [0, 3, 5],
        "layer2.0.conv2.weight:0": [1],
    }


DENSE = {"params": 271_834, "macs": 31_100_000, "bytes": 1_121_432, "latency_s": 2.94e-3}


def trials() -> list[dict[str, Any]]:
    """Rows of a comparison: four methods, two budgets, three seeds."""
    start = {"deephoyer": 0.918, "magnitude": 0.911, "hfp": 0.914, "random": 0.902}
    return [
        _trial(method, place, share, accuracy - loss * (1 + 0.3 * place), seed)
        for share, loss in ((0.5, 0.0), (0.25, 0.018))
        for place, (method, accuracy) in enumerate(start.items())
        for seed in range(3)
    ]


def _trial(method: str, place: int, share: float, accuracy: float, seed: int) -> dict[str, Any]:
    cost = share * (1 - 0.004 * (3 - place) - 0.002 * seed)
    sizes = {
        "params": 1.1 * cost,
        "macs": cost,
        "bytes": 1.12 * cost,
        "latency_s": 0.18 + 0.8 * cost + 0.01 * place,
    }
    return {
        "method": method,
        "budget": {"macs": share},
        "seed": seed,
        "epochs": 30,
        "before": DENSE | {"accuracy": 0.92 + 0.001 * seed},
        "after": {key: DENSE[key] * left for key, left in sizes.items()}
        | {"accuracy": accuracy + 0.0015 * (seed - 1)},
        "seconds": 400.0 + 60 * place + seed,
    }
