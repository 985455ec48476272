"""What the speed of an operation depends on: the processor, its vector instructions and its cores."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path
from typing import Any

VECTOR = re.compile(r"avx.*|amx.*|fma|neon|asimd.*|sve.*|sme|sme2")


@cache
def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in reversed(lines))
    return {name.strip(): value.strip() for name, _, value in pairs}


def hardware() -> dict[str, Any]:
    """Return ``cpu`` (its name), ``vector`` (its vector instructions), ``cores`` and ``machine``."""
    info = _cpuinfo()
    flags = (info.get("flags") or info.get("Features") or "").split()
    return {
        "machine": platform.machine(),
        "cpu": info.get("model name") or platform.processor() or "unknown",
        "vector": " ".join(sorted(flag for flag in flags if VECTOR.fullmatch(flag))),
        "cores": os.cpu_count() or 1,
    }
