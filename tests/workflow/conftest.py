"""A PostgreSQL server of the tests' own, and a grid whose trials take no time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from netsmith.workflow.trials import Cell


@dataclass
class Server:
    """A PostgreSQL server that can be stopped and started again."""

    programs: Path
    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        return f"postgresql://tester:secret@/postgres?host={self.folder}"

    def run(self, *command: str) -> None:
        program, *flags = command
        # The server refuses to run as root.
        subprocess.run(
            [str(self.programs / program), *flags],
            check=True,
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def create(self) -> None:
        self.run("initdb", "-D", f"{self.folder}/data", "-U", "tester", "-A", "trust", "--no-sync")

    def start(self) -> None:
        options = f"-c listen_addresses= -k {self.folder} -c fsync=off -c shared_buffers=16MB"
        self.run(
            "pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start"
        )

    def stop(self) -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop")


def programs() -> Path:
    found = shutil.which("initdb") or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None
    )
    if found is None:
        pytest.fail("PostgreSQL is missing: install Debian's package postgresql, or put initdb on the PATH")
    return Path(found).parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server, in a folder that its user may enter; sockets only, no port."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        user = "nobody" if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(name, user)
        server = Server(programs(), Path(name), user)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@dataclass
class QuickGrid:
    """Stands where a grid does; a trial leaves a file each time it is begun, and can be made to die once."""

    cells: list[Cell]
    dies: Cell | None = None
    shared: dict[str, Any] = field(default_factory=lambda: {"device": "cpu"})
    settings: dict[str, Any] = field(default_factory=lambda: {"model": "quick", "data": "none"})

    def row(self, cell: Cell, folder: Path, progress: bool) -> dict[str, Any]:
        begun = len(list(folder.glob(f"begun-{cell.method}-{cell.seed}-*")))
        (folder / f"begun-{cell.method}-{cell.seed}-{os.getpid()}").touch()
        if cell == self.dies and begun == 0:
            os.kill(os.getpid(), 9)
        return {"method": cell.method, "seed": cell.seed, "after": {"accuracy": cell.seed / 10}}


@pytest.fixture(scope="session")
def quick_grid() -> type[QuickGrid]:
    return QuickGrid


@pytest.fixture
def cells() -> list[Cell]:
    return [Cell(method, "macs=0.5", seed) for method in ("a", "b") for seed in range(4)]
