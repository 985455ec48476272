from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
import yaml

import netsmith as ns

KEYS = {"accuracy", "params", "nonzero", "macs", "bytes", "latency_s", "eager_s", "energy_j"}


def test_json_and_files_say_the_same(finished):
    folder, printed = finished
    assert json.loads((folder / "result.json").read_text()) == printed
    assert {"before", "after", "budget", "method", "seed", "seconds", "versions"} <= set(printed)
    assert set(printed["before"]) == set(printed["after"]) == KEYS
    assert printed["budget"] == {"macs": 0.3}
    assert printed["after"]["macs"] <= 0.3 * printed["before"]["macs"]
    assert {path.name for path in folder.iterdir()} == {
        "result.json",
        "model.nsm",
        "model.onnx",
        "report.html",
        "run.json",
        "checkpoints",
    }


def test_saved_model_is_the_measured_one(finished, mine):
    folder, printed = finished
    model = ns.load(folder / "model.nsm")
    assert sum(parameter.numel() for parameter in model.parameters()) == printed["after"]["params"]
    task = ns.tasks.load("digits", train_size=120, test_size=60)
    assert task.evaluate(model) == printed["after"]["accuracy"]


def test_onnx_file_agrees_with_the_saved_model(finished):
    import onnxruntime

    folder, _ = finished
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    images = torch.randn(5, 1, 8, 8)
    (got,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        expected = ns.load(folder / "model.nsm")(images)
    assert torch.allclose(torch.from_numpy(got), expected, atol=1e-5)


def test_result_tells_where_accuracy_went_and_how_to_repeat(finished):
    _, printed = finished
    assert list(printed["stages"]) == ["dense, start", "dense", "finetune, start", "finetune", "the end"]
    assert [(row["stage"], row["epoch"]) for row in printed["history"]] == [
        ("dense", 1),
        ("dense", 2),
        ("finetune", 1),
        ("finetune", 2),
    ]
    assert printed["history"][0]["macs"] == 1 > printed["history"][-1]["macs"] > 0
    assert printed["command"].startswith("netsmith compress --model ")
    assert set(printed["latency"]["batches"]) == {"1", "32"}
    widths = {layer["name"]: (layer["width_before"], layer["width_after"]) for layer in printed["layers"]}
    assert widths["head"] == (10, 10)
    assert widths["second"][1] < widths["second"][0] == 12


def test_table_and_paths_for_people(run, small):
    result = run(*small, "--epochs", "1", "--quiet", "--out", "here")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    for word in (
        "accuracy",
        "before",
        "after",
        "MACs",
        "here/model.nsm",
        "here/model.onnx",
        "here/report.html",
    ):
        assert word in result.stdout


def test_finished_run_is_given_back_and_not_repeated(run, finished):
    folder, printed = finished
    result = run("compress", "--out", folder, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == printed


def test_recipe_file_and_flags_over_it(run, mine, tmp_path):
    recipe = tmp_path / "run.yaml"
    content = {
        "model": f"{mine}:no_arguments",
        "data": f"{mine}:pair",
        "method": "random",
        "budget": {"params": 0.6},
        "epochs": 5,
        "dense_epochs": 0,
        "round_to": 1,
        "out": str(tmp_path / "from_recipe"),
    }
    recipe.write_text(yaml.safe_dump(content))
    result = run("compress", "--recipe", recipe, "--epochs", "1", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["method"], printed["epochs"]) == ("random", 1)
    assert printed["after"]["params"] <= 0.6 * printed["before"]["params"]
    assert (tmp_path / "from_recipe" / "result.json").exists()


def test_own_method_from_a_file(run, mine, small):
    result = run(*small, "--method", f"{mine}:halve", "--epochs", "1", "--budget", "macs=0.01", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert [row["stage"] for row in printed["history"]] == ["dense", "mine"]
    assert any("macs is" in warning for warning in printed["warnings"])


def test_default_folders_are_numbered_and_resume_takes_the_newest(run, small, tmp_path):
    (tmp_path / "netsmith-run").mkdir()
    assert run(*small, "--epochs", "1", "--quiet").exit_code == 0
    assert (tmp_path / "netsmith-run-2" / "result.json").exists()
    result = run("compress", "--resume")
    assert "netsmith-run-2/model.nsm" in result.stdout


def test_help_needs_neither_torch_nor_much_time():
    code = "import sys, netsmith.cli; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("command", ["compress", "compare", "profile", "methods", "export", "report"])
def test_every_command_has_help_and_json(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_bare_command_shows_help_and_version_is_the_package_s(run):
    assert "compress" in run().stdout
    assert run("--version").stdout.strip() == ns.__version__
