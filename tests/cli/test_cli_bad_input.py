"""Each mistake ends in one clear line and exit status 2, with nothing half-written."""

from __future__ import annotations

import fcntl
import re
import resource
import subprocess
import sys
import zipfile

import pytest
import yaml


def assert_refused(result, *words):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("netsmith: ")
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def refused(run, tmp_path):
    """Run the command, see that it refuses in one line, and that it left nothing behind."""

    def check(*arguments, words):
        before = sorted(tmp_path.rglob("*"))
        assert_refused(run(*arguments), *words)
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "magnitud"], ["unknown method 'magnitud'", "did you mean magnitude"]),
        (["--model", "resnet21"], ["unknown model 'resnet21'", "resnet20"]),
        (["--data", "fashion-mnits"], ["unknown data set", "fashion-mnist"]),
        (["--budget", "mac=0.3"], ["unknown budget", "macs"]),
        (["--budget", "macs=-0.3"], ["macs=-0.3", "above zero"]),
        (["--budget", "macs=0"], ["macs=0", "above zero"]),
        (["--budget", "latency=1.5"], ["latency=1.5", "share is at most 1"]),
        (["--budget", "macs=120%"], ["macs=120%"]),
        (["--budget", "macs=nan"], ["macs=nan"]),
        (["--budget", "macs=lots"], ["macs='lots'", "for example"]),
        (["--budget", "macs"], ["macs", "for example"]),
        (["--budget", "macs=0.3,macs=0.2"], ["twice"]),
        (["--budget", "macs=0.0001"], ["cannot be reached", "the smallest cut has"]),
        (["--model", "lenet5"], ["8x8", "16x16"]),
        (["--epochs", "0"], ["epochs = 0", "expected"]),
        (["--epochs", "many"], ["--epochs", "valid integer"]),
        (["--seed", "-1"], ["seed = -1"]),
        (["--round-to", "0"], ["round_to", "whole number from 1 on", "auto"]),
        (["--device", "toaster"], ["device 'toaster'", "leave --device out"]),
        (["--option", "strength"], ["--option name=value"]),
        (["--epoch", "3"], ["--epoch"]),
        (["stray"], ["stray"]),
        (["--resume", "--out", "nowhere"], ["no run in nowhere"]),
    ],
)
def test_flags(refused, flags, words):
    refused("compress", *flags, words=words)


def test_unknown_command(refused):
    refused("compres", words=["compres"])


@pytest.mark.parametrize(
    ("flag", "name", "words"),
    [
        ("--model", "three_channels", ["does not take the inputs", "[1, 8, 8]"]),
        ("--model", "nothing_to_cut", ["nothing to remove"]),
        ("--model", "poisoned", ["first.weight", "NaN"]),
        ("--model", "not_a_model", ["returned a int", "torch.nn.Module"]),
        ("--model", "nett", ["unknown callable", "did you mean net"]),
        ("--model", "number", ["is a int", "callable"]),
        ("--data", "strange", ["returned a str", "Task or a (train, test) pair"]),
    ],
)
def test_users_own_file(refused, mine, flag, name, words):
    refused("compress", flag, f"{mine}:{name}", words=words)


def test_users_file_that_is_not_there_or_names_nothing(refused, mine):
    refused("compress", "--model", "no.py:net", words=["no file 'no.py'"])
    refused("compress", "--model", mine, words=["which callable"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"mode": "small-cnn"}, ["unknown field", "'mode'", "model"]),
        ({"round_to": "some"}, ["round_to = 'some'", "or auto"]),
        ({"epochs": 2.5}, ["epochs = 2.5", "whole number from 1 on"]),
        ([1, 2], ["must be a YAML mapping"]),
    ],
)
def test_recipe_file(run, tmp_path, content, words):
    recipe = tmp_path / "run.yaml"
    recipe.write_text(yaml.safe_dump(content))
    assert_refused(run("compress", "--recipe", recipe), "run.yaml", *words)


def test_recipe_file_that_is_no_yaml_or_missing(run, tmp_path):
    (tmp_path / "run.yaml").write_text("model: [")
    assert_refused(run("compress", "--recipe", "run.yaml"), "run.yaml", "not YAML")
    assert_refused(run("compress", "--recipe", "none.yaml"), "none.yaml")


def test_nan_while_training_keeps_the_last_good_checkpoint(run, mine, small, tmp_path):
    result = run(*small, "--data", f"{mine}:turns_bad", "--epochs", "3", "--out", "bad", "--quiet")
    assert_refused(result, "loss became nan")
    assert (tmp_path / "bad" / "checkpoints" / "dense" / "checkpoint.pt").exists()
    assert not (tmp_path / "bad" / "result.json").exists()


def test_method_that_takes_too_many_epochs_or_returns_nothing(run, mine, small):
    result = run(*small, "--method", f"{mine}:greedy", "--dense-epochs", "0", "--epochs", "1", "--quiet")
    assert_refused(result, "'greedy' asks for 2 epochs", "1 granted")
    result = run(*small, "--method", f"{mine}:lazy", "--dense-epochs", "0", "--quiet")
    assert_refused(result, "returned a NoneType")


def test_unknown_option_of_a_method(run, small, tmp_path):
    result = run(*small, "--dense-epochs", "0", "--quiet", "--option", "scop=local", "--out", "x")
    assert_refused(result, "unknown option 'scop'", "did you mean scope")
    assert not (tmp_path / "x").exists()


def test_data_that_is_missing_or_not_what_was_published(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path / "gone"))
    refused("compress", "--model", "lenet5", "--data", "mnist", words=["gone"])
    folder = tmp_path / "kept" / "mnist"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(b"not these")
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path / "kept"))
    refused("compress", "--model", "lenet5", "--data", "mnist", words=["mnist"])


def test_model_file_that_is_truncated_tampered_or_missing(refused, finished, tmp_path):
    folder, _ = finished
    whole = (folder / "model.nsm").read_bytes()
    cut = tmp_path / "cut.nsm"
    cut.write_bytes(whole[: len(whole) // 2])
    refused("export", cut, "out.onnx", words=["cut.nsm"])
    tampered = tmp_path / "tampered.nsm"
    with zipfile.ZipFile(folder / "model.nsm") as source, zipfile.ZipFile(tampered, "w") as target:
        for name in source.namelist():
            content = source.read(name) or b"?"
            target.writestr(name, content[:-1] + bytes([content[-1] ^ 1]))
    refused("export", tampered, "out.onnx", words=["tampered.nsm"])
    refused("export", "none.nsm", "out.onnx", words=["none.nsm"])


def test_folder_that_holds_another_run(run, finished, mine):
    folder, _ = finished
    content = (folder / "result.json").read_bytes()
    # The same settings without --resume, other settings with it, and settings nobody saw before.
    flags = ("--model", f"{mine}:net", "--data", f"{mine}:few", "--epochs", "2", "--round-to", "1")
    assert_refused(run("compress", *flags, "--out", folder), "already holds this run", "--resume")
    assert_refused(
        run("compress", "--out", folder, "--resume", "--seed", "7"),
        "another run",
        "seed was 0, now 7",
        "--out",
    )
    assert_refused(run("compress", *flags, "--out", folder, "--method", "random"), "another run", "method")
    assert (folder / "result.json").read_bytes() == content


def test_folder_with_other_things_in_it(refused, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    refused("compress", "--out", "photos", words=["photos", "holds no netsmith run", "another --out"])
    refused("compress", "--out", "photos/cat.png", words=["is a file"])


def test_folder_of_a_run_in_progress(run, small, tmp_path):
    (tmp_path / "busy").mkdir()
    with (tmp_path / "busy" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(run(*small, "--out", "busy", "--quiet"), "another process", "busy")


def test_full_disk(run, small, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses to write beyond this size, as it would when nothing is free.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
    try:
        result = run(*small, "--out", "full", "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert_refused(result, "cannot write", "free space")
    assert not (tmp_path / "full").exists()


def test_report_of_what_is_no_run(refused, tmp_path):
    refused("report", tmp_path, words=["result.json"])


def test_unexpected_errors_keep_their_traceback(run, mine, small, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def net():\n    raise ZeroDivisionError('of my own')\n")
    result = run(*small, "--model", f"{broken}:net")
    assert isinstance(result.exception, ZeroDivisionError)


def test_the_real_command_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "netsmith", "compress", "--budget", "macs=-1", "--out", "x"]
    seen = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert seen.returncode == 2
    assert seen.stdout == ""
    assert re.fullmatch(r"netsmith: [^\n]*macs=-1[^\n]*\n", seen.stderr)
    assert not list(tmp_path.iterdir())
