from __future__ import annotations

from pathlib import Path

import pytest
import report_example

from netsmith.errors import FileError
from netsmith.report import render, render_comparison, write, write_comparison


def test_written_file_is_what_is_rendered(tmp_path: Path) -> None:
    content, rows = report_example.result(), report_example.trials()
    assert write(content, tmp_path / "a.html").read_text(encoding="utf-8") == render(content)
    path = write_comparison(rows, str(tmp_path / "b.html"), name="mine")
    assert path.read_text(encoding="utf-8") == render_comparison(rows, name="mine")
    assert {file.name for file in tmp_path.iterdir()} == {"a.html", "b.html"}


def test_same_result_gives_the_same_page() -> None:
    assert render(report_example.result()) == render(report_example.result())


def test_result_is_left_as_found() -> None:
    content = report_example.result()
    render(content)
    assert content == report_example.result()


def test_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(
        FileError, match=r"^cannot write the report to .*gone.*: No such file.*; choose a folder"
    ) as error:
        write(report_example.result(), tmp_path / "gone" / "report.html")
    assert "\n" not in str(error.value)


def test_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(self: Path, *args: object, **kwargs: object) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match="No space left on device"):
        write(report_example.result(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
