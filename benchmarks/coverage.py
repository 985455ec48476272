"""Which architectures netsmith can shrink, how exactly, and what comes after; Torch-Pruning beside it.

    python benchmarks/coverage.py benchmarks/architectures/torch_nn.py [MORE.py ...] [--peer] [--resume]

Each file defines ``architectures()``, which yields (name, constructor, inputs); inputs is a tensor, a tuple,
a dict, or a function that returns one of them. Every file is checked in worker processes of its own, on one
thread each, and a worker that dies or hangs takes down one check. What each column means stands in the page.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import psutil

from coverage_page import CHECKS, NOT_ASKED, PEER, page

HERE = Path(__file__).parent
PEER_SECONDS = 90.0


class Worker:
    """A process that checks architectures of one file, one at a time."""

    def __init__(self, file: Path, timeout: float) -> None:
        self.file = file
        self.limit = max(timeout, PEER_SECONDS) * 1.5 + 30
        command = [sys.executable, str(HERE / "coverage_worker.py"), str(file), "--timeout", str(timeout)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._heard = b""
        self.names: list[str] = self._answer() or []
        self.checked = 0

    def check(self, name: str, checks: list[str]) -> dict[str, Any]:
        """Return what a worker says of one architecture; what it dies in is a failure with that reason."""
        result: dict[str, Any] = {"cells": {}, "figures": {}}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, checks]).encode() + b"\n")
        self.process.stdin.flush()
        self.checked += 1
        running = checks[0]
        while True:
            answer = self._answer()
            if answer is None:
                result["cells"][running] = self._why()
                return result
            if "done" in answer:
                return result
            if "begin" in answer:
                running = answer["begin"]
                continue
            result["cells"][answer["check"]] = answer["cell"]
            result["figures"].update(answer["figures"])

    def _answer(self) -> Any:
        """Return the next line, or None when the process is dead or used up its CPU time."""
        assert self.process.stdout is not None
        channel, begun = self.process.stdout.fileno(), self._seconds()
        while b"\n" not in self._heard:
            if select.select([channel], [], [], 2.0)[0]:
                chunk = os.read(channel, 1 << 16)
                if not chunk:
                    return None
                self._heard += chunk
            elif self._seconds() - begun > self.limit:
                self.process.kill()
                return None
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def _seconds(self) -> float:
        try:
            used = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(used.user + used.system)

    def _why(self) -> str:
        code = self.process.wait()
        return "out of time, inside an operator" if code == -9 else f"the process died (code {code})"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


Task = tuple[Path, str, list[str]]


def wanted(options: argparse.Namespace, results: dict[str, Any]) -> list[Task]:
    """Return what is to be checked, and forget results of architectures that are no longer listed."""
    tasks = []
    for file in options.files:
        worker = Worker(file, options.timeout)
        worker.stop()
        if not worker.names:
            sys.exit(f"{file} yields no architectures: run coverage_worker.py on it to see why")
        keys = {f"{file.stem}/{name}": name for name in worker.names}
        for key in [key for key in results if key.startswith(f"{file.stem}/") and key not in keys]:
            del results[key]
        for key, name in keys.items():
            cells = results.get(key, {}).get("cells", {})
            passed = all(cells.get(check, "missing") in ("yes", NOT_ASKED) for check in CHECKS)
            checks = [] if options.resume and passed else list(CHECKS)
            if options.peer and not (options.resume and PEER in cells):
                checks.append(PEER)
            if checks and fnmatch.fnmatch(name, options.only):
                tasks.append((file, name, checks))
    return tasks


def work(tasks: Queue[Task], timeout: float, store: Any) -> None:
    worker: Worker | None = None
    while True:
        try:
            file, name, checks = tasks.get_nowait()
        except Empty:
            break
        if worker is None or worker.file != file or worker.process.poll() is not None or worker.checked >= 25:
            if worker is not None:
                worker.stop()
            worker = Worker(file, timeout)
        store(f"{file.stem}/{name}", worker.check(name, checks))
    if worker is not None:
        worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="none: write the page from the results again")
    parser.add_argument("--only", default="*", help="names to check, a shell pattern")
    parser.add_argument("--peer", action="store_true", help="Torch-Pruning on the same list")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120.0, help="CPU seconds per check")
    parser.add_argument("--out", type=Path, default=Path("docs/coverage.md"))
    parser.add_argument("--json", type=Path, default=Path("results.json"))
    parser.add_argument("--resume", action="store_true", help="only what is new or did not pass")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {}
    tasks: Queue[Task] = Queue()
    for task in wanted(options, results):
        tasks.put(task)
    lock = threading.Lock()

    def store(key: str, result: dict[str, Any]) -> None:
        with lock:
            known = results.setdefault(key, {"cells": {}, "figures": {}})
            if "shrunk" in result["cells"]:
                known["cells"] = {PEER: known["cells"][PEER]} if PEER in known["cells"] else {}
            known["cells"].update(result["cells"])
            known["figures"].update(result["figures"])
            options.json.write_text(json.dumps(results, indent=0, sort_keys=True))
            wrong = {k: cell for k, cell in result["cells"].items() if cell not in ("yes", NOT_ASKED)}
            print(f"{key:44} {result['figures'].get('seconds', 0):6.2f} s  {wrong or 'yes'}", flush=True)

    threads = [
        threading.Thread(target=work, args=(tasks, options.timeout, store)) for _ in range(options.jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(results))


if __name__ == "__main__":
    main()
