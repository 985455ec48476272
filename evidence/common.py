"""What every evidence script shares: its arguments, its table and its entry in ``ledger.json``.

A script ``evidence/<slug>.py`` is one function over an :class:`Evidence`::

    from common import Evidence

    def main() -> int:
        with Evidence("structured-projections") as evidence:
            evidence.row("norm after it", reference="20 to 1e-9", got=norm, holds=abs(norm - 20) < 1e-9)
            if evidence.full:
                ...
        return evidence.status

    if __name__ == "__main__":
        sys.exit(main())

Run with ``--quick`` (the default, under 10 s) or ``--full``, and ``--seed``. The table is printed and the
ledger written when the block ends without an error; nothing is written when it raises.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

LEDGER = Path(__file__).with_name("ledger.json")
PACKAGES = ("netsmith", "torch", "numpy", "scikit-learn", "onnxruntime")


class Evidence:
    """One run of one evidence script: collects rows, then prints them and keeps them in the ledger."""

    def __init__(self, slug: str, arguments: list[str] | None = None) -> None:
        parser = argparse.ArgumentParser(description=f"Check the claims about {slug} by running them.")
        tier = parser.add_mutually_exclusive_group()
        tier.add_argument(
            "--quick", action="store_true", help="the checks that take under 10 s (the default)"
        )
        tier.add_argument("--full", action="store_true", help="every check")
        parser.add_argument("--seed", type=int, default=0)
        given = parser.parse_args(arguments)
        self.slug = slug
        self.full: bool = given.full
        self.tier = "full" if given.full else "quick"
        self.seed: int = given.seed
        self.rows: list[dict[str, Any]] = []

    def row(self, claim: str, *, reference: Any, got: Any, holds: bool | None) -> None:
        """Add one line; numbers are kept as they are, ``holds=None`` records without judging."""
        number = isinstance(got, (bool, int, float, str))
        holds = None if holds is None else bool(holds)
        self.rows.append(
            {"claim": claim, "reference": reference, "got": got if number else str(got), "holds": holds}
        )
        print(f"  [{_verdict(holds)}] {claim}: {_text(got)} (reference: {_text(reference)})", flush=True)

    @property
    def status(self) -> int:
        """Exit status: 1 when a claim does not hold."""
        return int(any(row["holds"] is False for row in self.rows))

    def __enter__(self) -> Evidence:
        self.started = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if kind is None:
            seconds = round(time.perf_counter() - self.started, 1)
            self._print(seconds)
            record(self._entry(seconds))

    def _entry(self, seconds: float) -> dict[str, Any]:
        command = shlex.join(
            ["python", f"evidence/{Path(sys.argv[0]).name}", f"--{self.tier}", "--seed", str(self.seed)]
        )
        return {
            "slug": self.slug,
            "tier": self.tier,
            "command": command,
            "seed": self.seed,
            "commit": _commit(),
            "date": datetime.date.today().isoformat(),
            "machine": _machine(),
            "versions": _versions(),
            "seconds": seconds,
            "rows": self.rows,
        }

    def _print(self, seconds: float) -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table(
            "claim", "reference", "got", "holds", title=f"{self.slug}, {self.tier} tier, {seconds} s"
        )
        for row in self.rows:
            table.add_row(row["claim"], _text(row["reference"]), _text(row["got"]), _verdict(row["holds"]))
        Console().print(table)


def record(entry: dict[str, Any]) -> None:
    """Put an entry into the ledger in the place of the one with the same slug, tier and seed."""
    key = ("slug", "tier", "seed")
    folder = os.open(LEDGER.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        entries = json.loads(LEDGER.read_text()) if LEDGER.exists() else []
        entries = [old for old in entries if any(old[name] != entry[name] for name in key)]
        entries = sorted([*entries, entry], key=lambda one: tuple(one[name] for name in key))
        fresh = LEDGER.with_suffix(".json.new")
        fresh.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
        os.replace(fresh, LEDGER)
    finally:
        os.close(folder)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _verdict(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[holds]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=LEDGER.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _commit() -> str:
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "../src", ".", ":!ledger.json")
    return (_git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+changes" if changed else "")


def _machine() -> str:
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    machine = f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    return machine + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
