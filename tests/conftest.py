"""What tests of several packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $NETSMITH_DATA, or shared/data in or beside a folder above this file."""
    candidates = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    if root := os.environ.get("NETSMITH_DATA"):
        candidates.insert(0, Path(root))
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    pytest.fail(
        "the real data sets are missing: point NETSMITH_DATA at a folder that holds mnist and cifar10-jpeg, "
        f"or put it at {Path(__file__).resolve().parents[2] / 'shared' / 'data'}"
    )
