"""Peak memory of `shrink(inplace=True)` as a multiple of the model, each in a process of its own.

    python benchmarks/memory.py [--verify]

A stack of wide linear layers, 100 MiB each; one channel in ten goes, so that a copy would show.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import threading
import time
from pathlib import Path

import torch
from torch import nn

import netsmith as ns


def resident() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(layers: int, verify: bool, inplace: bool, queue: multiprocessing.Queue[float]) -> None:
    """Report the peak over the memory before the model was made, as a multiple of the model."""
    torch.set_num_threads(1)
    ns.shrink(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), torch.zeros(1, 8), ratio=0.5)
    width = 5120
    before = resident()
    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
    size = sum(parameter.nbytes for parameter in model.parameters())
    highest, done = [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], resident())
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    ns.shrink(model, torch.zeros(1, width), ratio=0.1, verify=verify, inplace=inplace)
    done.set()
    thread.join()
    queue.put((highest[0] - before) / size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=12)
    layers = parser.parse_args().layers
    print("| | verified | not verified |\n|---|---|---|")
    for inplace in (True, False):
        peaks = []
        for verify in (True, False):
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=measure, args=(layers, verify, inplace, queue))
            process.start()
            peaks.append(queue.get())
            process.join()
        print(f"| {'in place' if inplace else 'a new model'} | {peaks[0]:.2f} | {peaks[1]:.2f} |")


if __name__ == "__main__":
    main()
