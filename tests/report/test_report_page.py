from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import report_example
from browser import Chromium

from netsmith.report import render, write, write_comparison
from netsmith.report.summary import headline

WIDTHS = {"desktop": 1280, "phone": 390}
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>\" ' & \ud800"
SECTIONS = (
    "Before and after",
    "Accuracy and cost while training",
    "Structure, layer by layer",
    "Measured latency",
    "Reproduce",
)
# Text whose contrast with the first opaque background behind it is below WCAG's 4.5 (3 for large text).
FAINT = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, k) => {
    const v = c[k] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const faint = new Set();
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim()) continue;
    const style = getComputedStyle(node.parentElement);
    let behind = node.parentElement;
    while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
    const pair = [light(rgba(style.color)), light(rgba(getComputedStyle(behind).backgroundColor))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.add(node.textContent + " " + contrast);
  }
  return [...faint];
})()"""
# Elements that stick out of the window although nothing around them scrolls.
STICKING_OUT = """[...document.querySelectorAll("main *")].filter((element) =>
  !element.closest(".scroll") && element.getBoundingClientRect().right > innerWidth + 1
).map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    rows = report_example.trials()
    return {
        "report": write(report_example.result(), folder / "report.html"),
        "missed": write(report_example.missed(), folder / "missed.html"),
        "comparison": write_comparison(rows, folder / "comparison.html", name="resnet20 on fashion-mnist"),
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("page", ["report", "missed", "comparison"])
def test_page_fits_is_readable_and_fetches_nothing(
    chromium: Chromium, pages: dict[str, Path], page: str, width: int, dark: bool
) -> None:
    chromium.open(pages[page], width=width, dark=dark)
    assert chromium.requests() == [pages[page].resolve().as_uri()]
    assert chromium.complaints() == []
    assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert chromium.run(STICKING_OUT) == []
    assert chromium.run(FAINT) == []
    paper = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (max(int(part) for part in re.findall(r"\d+", paper)) < 60) == dark


def test_headline_and_all_sections_are_there(chromium: Chromium, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], width=1280)
    assert chromium.run("document.title") == "resnet20 on fashion-mnist · netsmith"
    assert chromium.run("document.querySelector('h1').textContent") == headline(report_example.result())
    assert tuple(chromium.run("[...document.querySelectorAll('h2')].map((h) => h.textContent)")) == SECTIONS
    assert chromium.run("document.querySelectorAll('.layers tbody tr').length") == 20
    assert chromium.run("document.querySelectorAll('.badge.good').length") == 2


def test_missed_budget_is_in_red(chromium: Chromium, pages: dict[str, Path]) -> None:
    chromium.open(pages["missed"], width=1280)
    assert chromium.run("[...document.querySelectorAll('.badge')].map((b) => b.className)") == [
        "badge bad",
        "badge bad",
        "badge",
    ]
    assert chromium.run("document.querySelectorAll('.warnings li').length") == 2
    assert chromium.run("document.querySelectorAll('.times .more').length") == 1


def test_bars_are_as_long_as_their_numbers(chromium: Chromium, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], width=1280)
    row = (
        "[...document.querySelectorAll('.layers tr')].find((r) => r.textContent.startsWith('layer3.0.conv1'))"
    )
    length = "getComputedStyle({}.querySelector('.bar'), '::{}').width"
    was, now = (float(chromium.run(length.format(row, end))[:-2]) for end in ("before", "after"))
    kept = next(layer for layer in report_example.layers() if layer["name"] == "layer3.0.conv1")
    assert now / was == pytest.approx(kept["width_after"] / kept["width_before"], abs=0.01)


def test_curve_shows_its_values_under_the_mouse(chromium: Chromium, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], width=1280)
    # Each of the 30 epochs has an equal share of the width: 21 % lies in the seventh.
    chromium.hover(".plot", 0.21)
    metric = report_example.history()[6]["metric"]
    words = f"dense, epoch 7: {100 * metric:.1f}\u202f%"
    assert chromium.run("document.querySelector('.tip').textContent") == words
    rules = chromium.run("[...document.querySelectorAll('.rule:not([hidden])')].map((r) => r.style.left)")
    assert [float(left.rstrip("%")) for left in rules] == pytest.approx([100 * 6.5 / 30] * 4, abs=0.01)
    chromium.hover("h1")
    assert chromium.run("document.querySelector('.tip').hidden")


def test_mark_of_a_comparison_says_what_it_is(chromium: Chromium, pages: dict[str, Path]) -> None:
    chromium.open(pages["comparison"], width=1280)
    chromium.hover(".point")
    assert chromium.run("document.querySelector('.tip').textContent").startswith(
        "deephoyer, macs=0.5: 91.80 ± 0.15"
    )


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_text_of_the_user_stays_text(chromium: Chromium, tmp_path: Path, width: int) -> None:
    path = write(_hostile(report_example.result()), tmp_path / "hostile.html")
    chromium.open(path, width=width)
    assert chromium.run("window.pwned === undefined")
    assert chromium.run("document.scripts.length") == 1
    assert chromium.run("document.querySelectorAll('img').length") == 0
    assert chromium.run("document.querySelector('.eyebrow').textContent").count("<script>") == 3
    assert chromium.requests() == [path.resolve().as_uri()]
    assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    chromium.hover(".stack i")
    assert "<script>" in chromium.run("document.querySelector('.tip').textContent")


def _hostile(value: Any) -> Any:
    """Put markup into every text of a result, keys of the user's own included."""
    if isinstance(value, dict):
        open_ended = not {"name", "before", "macs", "stage", "kind", "1", "runtime"} & value.keys()
        return {f"{key}{HOSTILE}" if open_ended else key: _hostile(item) for key, item in value.items()} | (
            {"budget": value["budget"]} if "budget" in value else {}
        )
    if isinstance(value, list):
        return [_hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_page_names_no_other_place() -> None:
    page = render(report_example.result())
    assert not re.search(r"https?:|//[a-z]", page.replace("</", "<"))
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,"]
    assert not re.search(r"@import|url\(", page)


def test_page_of_a_large_network_and_a_long_run_stays_light() -> None:
    layers = [
        layer | {"name": f"features.{k}.{layer['name']}"}
        for k in range(20)
        for layer in report_example.layers()
    ]
    history = [row | {"epoch": k} for k in range(100) for row in report_example.history()]
    frozen = {f"features.{k}.weight:1": "an operator without a rule" for k in range(5000)}
    page = render(report_example.result(layers=layers, history=history, frozen=frozen))
    assert len(page.encode()) < 200_000
    assert "280 cheaper layers are not listed" in page


@pytest.mark.parametrize("missing", [*report_example.result()])
def test_any_part_may_be_missing(missing: str) -> None:
    whole = report_example.result()
    without = {key: value for key, value in whole.items() if key != missing}
    assert render(without) == render(whole | {missing: None})


def test_nothing_at_all_still_is_a_page() -> None:
    assert "Nothing was measured" in render({})


def test_missing_parts_leave_out_their_section() -> None:
    page = render({"before": {"macs": 10}, "after": {"macs": 5}})
    assert re.findall("<h2>(.*?)</h2>", page) == ["Before and after", "Reproduce"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "?"])
def test_numbers_that_are_none_are_dashes(value: object) -> None:
    history = [{"stage": "dense", "epoch": 1, "loss": value, "metric": value, "macs": value}]
    page = render({"before": {"accuracy": 0.5}, "after": {"accuracy": value}, "history": history})
    assert "nan" not in page
    assert "inf%" not in page
