"""Does time fall as MACs do? A ResNet-18 at 64 x 64 pixels, batch 32, in ONNX Runtime, at 30 % of its MACs.

Widths cut freely are compared with ``round_to="auto"``, all exported and timed interleaved in one run.

    python benchmarks/real_speed.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import netsmith as ns
from netsmith.cost import Cost
from netsmith.files import time_onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = ns.zoo.build("resnet18", classes=10, input_shape=(3, 64, 64)).eval()
    x = torch.randn(32, 3, 64, 64)
    budget = ns.Budget(macs=0.3)
    networks = {
        "whole": model,
        "free widths": ns.shrink(model, x, budget=budget),
        "round_to=auto": ns.shrink(model, x, budget=budget, round_to="auto"),
    }
    macs = {name: Cost(ns.trace(network, x)).total()["macs"] for name, network in networks.items()}
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, network) in enumerate(networks.items()):
            paths[name] = Path(folder) / f"{number}.onnx"
            ns.export(network, x, paths[name])
        times = time_onnx(paths, x, batches=(32,), repeats=arguments.repeats, threads=arguments.threads)
    print(f"{'widths':14} {'MACs':>7} {'time':>9} {'share':>7} {'time share / MACs share':>24}")
    for name in networks:
        seconds, share = times[name][32], macs[name] / macs["whole"]
        relative = seconds / times["whole"][32]
        print(f"{name:14} {share:7.3f} {1000 * seconds:7.1f}ms {relative:7.3f} {relative / share:24.2f}")


if __name__ == "__main__":
    main()
