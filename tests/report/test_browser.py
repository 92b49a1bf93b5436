"""The report in a real browser: what it loads, sorts, filters and shows, by mouse and by keyboard."""

import json
import re
import shutil

import pytest
from chromium import browser

from cedistill.report.build import report_study

BACKBONES = ["bert-base", "electra-base", "roberta-base"]
COLUMN = "[...document.querySelectorAll('#t-main tbody tr:not([hidden])')].map(r => r.cells[{}].textContent.trim())"
VALUES = "[...document.querySelectorAll('#t-main tbody tr:not([hidden])')].map(r => +r.cells[3].dataset.v)"


@pytest.fixture
def page(make_study, tmp_path):
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("needs Chromium: apt-get install chromium")
    pytest.importorskip("websocket", reason="needs websocket-client, of the extra dev")
    folder = make_study(BACKBONES, ["bce", "hinge", "margin-mse"], [1, 2])
    report_study(folder, "cedistill report study", page=True)
    with browser(tmp_path / "profile") as one:
        one.path = folder / "report" / "index.html"
        one.open(one.path)
        yield one


def test_the_report_in_a_browser(page):
    _sorts(page)
    _filters(page)
    _compares_queries(page)
    _works_by_keyboard(page)
    _follows_the_colour_scheme(page)
    _fits_a_phone(page)
    assert page.messages == []
    assert [one for one in page.requests if not one.startswith(("file:", "data:"))] == []
    assert len([one for one in page.requests if one.startswith("file:")]) == 2  # the page itself, opened twice


def _sorts(page):
    head = "document.querySelectorAll('#t-main thead th')[3]"
    page(f"{head}.querySelector('button').click()")
    falling = page(VALUES)
    assert page(f"{head}.getAttribute('aria-sort')") == "descending"
    assert falling[1:] == sorted(falling[1:], reverse=True) and len(falling) == 10
    assert page(COLUMN.format(1))[0] == "First stage"
    page(f"{head}.querySelector('button').click()")
    rising = page(VALUES)
    assert rising[1:] == falling[:0:-1] and page(f"{head}.getAttribute('aria-sort')") == "ascending"
    page("document.querySelectorAll('#t-main thead th button')[0].click()")
    assert page(COLUMN.format(0))[1:] == sorted(page(COLUMN.format(0))[1:])
    assert page("document.querySelectorAll('#t-main th[aria-sort]').length") == 1


def _filters(page):
    tools = "document.querySelector('#t-main').parentElement.previousElementSibling"
    for words, rows in (("electra margin", 1), ("electra", 3), ("nothing", 0), ("", 9)):
        field = f"{tools}.querySelector('input')"
        page(f"{field}.value = {words!r}; {field}.dispatchEvent(new Event('input'))")
        assert len(page(COLUMN.format(0))) == rows + 1  # and the first stage
        assert page(f"{tools}.querySelector('.count').textContent") == (f"{rows} of 9 rows" if rows < 9 else "9 rows")
    chosen = f"{tools}.querySelector('select[data-name=objective]')"
    page(f"{chosen}.value = 'Hinge'; {chosen}.dispatchEvent(new Event('input'))")
    names = "[...document.querySelectorAll('#t-main tbody tr:not([hidden], [data-pinned]) .name')]"
    assert page(f"{names}.map(cell => cell.dataset.objective)") == ["Hinge"] * 3
    page(f"{chosen}.value = ''; {chosen}.dispatchEvent(new Event('input'))")


def _compares_queries(page):
    _choose(page, "a", "roberta-base/margin-mse")
    _choose(page, "b", "bert-base/bce")
    assert page("document.querySelector('#q-words').textContent").startswith("A is better on 40 queries, B on 0")
    assert page("document.querySelectorAll('#q-chart rect').length") == 40
    there = page("document.querySelector('#q-words').textContent")
    _choose(page, "b", "roberta-base/margin-mse")
    _choose(page, "a", "bert-base/bce")
    back = page("document.querySelector('#q-words').textContent")
    (difference, low, high), (one, *ends) = (re.findall(r"[+−]\d\.\d+", words) for words in (there, back))
    flipped = str.maketrans("+−", "−+")
    assert [one, *ends] == [
        one.translate(flipped) for one in (difference, high, low)
    ] and "after Holm over all 45" in there
    table = json.loads((page.path.parents[1] / "table.json").read_text())["rows"]
    means = {f"{row['backbone']}/{row['objective']}": row["values"][0]["mean"] for row in table}
    expected = means["roberta-base/margin-mse"] - means["bert-base/bce"]
    assert float(difference.replace("−", "-")) == pytest.approx(expected, abs=6e-4)
    _choose(page, "a", "roberta-base/margin-mse")
    _choose(page, "b", "bert-base/bce")
    gains = page("[...document.querySelectorAll('#q-lists .query b')].map(one => parseFloat(one.textContent))")
    assert len(gains) == 8 and gains == sorted(gains, reverse=True)
    # Only q0 to q5 have texts and runs.
    _choose(page, "a", "bert-base/hinge")
    details = page("JSON.parse(document.querySelector('#data').textContent).sets[0]")
    shown = details["tops"]["0"]["bert-base/hinge"]
    assert [details["documents"][place][0] for place in shown] == ["d0", "d1", "d2"]
    assert details["grades"]["0"][str(shown[0])] == 2 and details["texts"][0] == "what about topic0"


def _choose(page, letter, model):
    page(f"document.querySelector('#q-{letter}').value = {model!r}")
    page(f"document.querySelector('#q-{letter}').dispatchEvent(new Event('change'))")


def _works_by_keyboard(page):
    page("document.querySelectorAll('#t-main thead th button')[3].focus()")
    before = page(VALUES)
    page.press("Enter", 13, "\r")
    assert page(VALUES)[1:] == sorted(before[1:], reverse=True)
    page("document.activeElement.blur(); document.body.focus()")
    page.press("Tab", 9)
    assert page("document.activeElement.tagName") in ("A", "BUTTON")
    controls = "[...document.querySelectorAll('button, select, input, a, [tabindex]')]"
    unnamed = f"{controls}.filter(one => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length"
    assert page(unnamed) == 0


def _follows_the_colour_scheme(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    page.scheme("light")
    light = page(colour)
    page.scheme("dark")
    dark = page(colour)
    assert light != dark
    for expected in (light, dark):
        page("document.querySelector('#scheme').click()")
        assert page(colour) == expected


def _fits_a_phone(page):
    page.open(page.path, width=390, height=844)
    assert page("document.documentElement.scrollWidth") <= 390
