from __future__ import annotations

import json
import signal
import subprocess
import sys

import torch

import netsmith as ns


def test_ctrl_c_then_resume_ends_in_the_same_bits(run, small, tmp_path):
    flags = (*small, "--epochs", "60", "--dense-epochs", "2")
    # What is started in the background of a script ignores Ctrl-C unless it says otherwise.
    heeding = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from netsmith.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", heeding, *flags, "--out", "stopped"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch 3/60"):
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.read().splitlines(keepends=True)
    assert process.returncode == 130, "".join(said)
    assert said[-1] == "netsmith: interrupted; resume with --resume\n"
    assert not (tmp_path / "stopped" / "result.json").exists()

    resumed = run("compress", "--out", "stopped", "--resume", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert "epoch 1/" not in resumed.stderr, "a finished epoch was trained again"
    whole = run(*flags, "--out", "whole", "--quiet", "--json")
    assert whole.exit_code == 0, whole.output
    one, other = (ns.load(tmp_path / name / "model.nsm").state_dict() for name in ("stopped", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in other)
    histories = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(result.stdout)["history"]]
        for result in (resumed, whole)
    ]
    assert histories[0] == histories[1]
