"""What the pages of ``docs`` show runs as it stands, block after block."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PRINTED = {
    "channel-attention.md": r"""eca after 9 modules, 27 parameters
Sequential\(
  \(0\): BatchNorm2d\(\d+, .*\)
  \(1\): EfficientChannelAttention\(kernel=3, shared=True\)
\)
True
""",
    "own-operators.md": r"""\(24, 32\) became \(\d+, \d+\)
\d+ MACs became \d+
\d+ channels, \(\d+,\) centres
""",
    "sizes-in-code.md": r"""its size is written in the code
GraphModule \(16, 16\) \(8, 4\)
""",
}


@pytest.mark.parametrize("page", PRINTED)
def test_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})
    assert re.fullmatch(PRINTED[page], capsys.readouterr().out)
