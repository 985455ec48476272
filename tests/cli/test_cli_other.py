from __future__ import annotations

import json
import shutil

from netsmith.catalogue import entries


def test_methods_lists_every_card(run):
    printed = json.loads(run("methods", "--json").stdout)["methods"]
    assert [(row["family"], row["name"]) for row in printed] == [(e.family, e.name) for e in entries()]
    recipes = {row["name"] for row in printed if row["family"] == "recipes"}
    assert {"magnitude", "random", "deephoyer"} <= recipes
    assert all(row["title"] and row["summary"] for row in printed)


def test_methods_of_one_family_for_people(run):
    shown = run("methods", "--family", "recipes").stdout
    assert "magnitude" in shown
    assert "penalties" not in shown
    assert "models" not in shown
    refused = run("methods", "--family", "recipe")
    assert (refused.exit_code, "did you mean recipes" in refused.stderr) == (2, True)


def test_methods_lists_networks_and_data_sets_too(run):
    printed = json.loads(run("methods", "--json").stdout)
    assert {"gru", "bert-small", "gcn", "gin", "small-cnn"} <= set(printed["models"])
    assert {"ptb", "cora", "mutag", "proteins", "digits"} <= set(printed["data"])
    assert ", bert-small, gru, gcn, gin" in run("methods").stdout


def test_profile_adds_up(run):
    printed = json.loads(run("profile", "--model", "small-cnn", "--json").stdout)
    assert printed["total"]["params"] == 56554
    assert sum(layer["macs"] for layer in printed["layers"]) == printed["total"]["macs"]
    assert "conv2" in run("profile").stdout


def test_export_of_a_saved_model(run, finished, mine, tmp_path):
    folder, _ = finished
    result = run("export", folder / "model.nsm", "again.onnx", "--model", f"{mine}:net", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["max_relative_difference"] < 1e-4
    assert set(printed["latency_s"]) == {"1", "32"}
    assert (tmp_path / "again.onnx").stat().st_size == printed["bytes"]


def test_report_is_made_again_from_the_folder(run, finished, tmp_path):
    folder, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(folder / "result.json", copy)
    assert run("report", copy).stdout.strip() == str(copy / "report.html")
    assert (copy / "report.html").read_bytes() == (folder / "report.html").read_bytes()
