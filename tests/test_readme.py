"""What the README shows runs as it stands."""

import re
from pathlib import Path

import pytest

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["twelve lines", "own loop", "depth and growth"])
def test_example_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {})
    printed = capsys.readouterr().out
    if number == 0:
        assert "total" in printed
        assert (tmp_path / "small.onnx").exists()
    elif number == 1:
        assert float(printed.split()[-1]) > 0.9
    else:
        assert printed.startswith("True\n")
        assert "bypass" in printed


def test_last_example_names_what_exists():
    import netsmith as ns

    for verb in re.findall(r"ns\.(\w+)\(", BLOCKS[3]):
        assert verb in ns.__all__
