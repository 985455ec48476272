"""Two processes train one model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
import torch
import torch.distributed as dist
import train_workload as work
from torch.utils.data import DataLoader
from netsmith.training import checkpoint

writes = []
write = checkpoint.write_checkpoint
checkpoint.write_checkpoint = lambda path, state: (writes.append(1), write(path, state))
out, result = sys.argv[1:]
first = work.run_digest(out=out + "/first")
try:
    work.run_digest(out=out + "/second", after_epoch=lambda m, clock: 1 / (clock.epoch < 3))
except ZeroDivisionError:
    pass
resumed = work.run_digest(out=out + "/second", resume=True, model=work.make_model(seed=dist.get_rank()))
loader = DataLoader(work.make_data(96), 8, shuffle=True, generator=torch.Generator())
steps = []
from_loader = work.run_digest(data=loader, after_step=lambda m, clock: steps.append(clock.step))
json.dump(
    {"first": first, "resumed": resumed, "loader": from_loader, "steps": len(steps), "writes": len(writes),
     "world": dist.get_world_size()},
    open(f"{result}{dist.get_rank()}.json", "w"),
)
dist.destroy_process_group()
"""


def test_two_processes_end_with_the_same_weights_and_one_checkpoint(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path / "out"), str(tmp_path / "rank")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0]["world"] == 2
    assert ranks[0]["first"] == ranks[1]["first"] == ranks[0]["resumed"] == ranks[1]["resumed"]
    assert ranks[0]["loader"] == ranks[1]["loader"]
    assert ranks[0]["steps"] == 4 * 96 // (2 * 8)
    # The start and four epochs, twice; the interrupted run wrote the start and two epochs, then two more.
    assert [rank["writes"] for rank in ranks] == [10, 0]
