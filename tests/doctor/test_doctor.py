import json
import threading
from types import SimpleNamespace

import pytest

from cedistill.doctor import examine as module
from cedistill.doctor import network, packages, places
from cedistill.doctor.examine import examination_text, examine
from cedistill.doctor.finding import BROKEN, LACKS, OK, Finding, guarded


def test_every_matter_is_looked_at_and_every_lack_has_a_cure(monkeypatch):
    monkeypatch.delenv("CEDISTILL_DATA", raising=False)
    found = examine()
    names = {(one.group, one.name) for one in found}
    assert {group for group, _ in names} == {"packages", "devices", "kernels", "caches", "data", "hub"}
    assert {("packages", "ray"), ("data", "beir"), ("kernels", "torch.compile"), ("caches", "cedistill")} <= names
    for one in found:
        assert one.found and (one.state == OK) == (not one.cure) and "\n" not in one.found + one.cure
    assert not [one for one in found if one.state == BROKEN]
    by_name = {one.name: one for one in found}
    assert by_name["demo"].state == OK and by_name["CEDISTILL_DATA"].state == LACKS
    assert by_name["beir"].found.startswith("0 of 13") and "prefetch beir" in by_name["beir"].cure
    text = examination_text(found)
    assert all(one.name in text and one.cure in text for one in found)
    json.dumps([one._asdict() for one in found])


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def check():
        raise RuntimeError("no\nway")

    monkeypatch.setattr(module, "CHECKS", (("data", "odd", check),))
    (one,) = examine()
    assert (one.state, one.found) == (BROKEN, "the check itself failed: RuntimeError: no way")
    assert "1 broken" in examination_text([one])


@pytest.mark.parametrize("kind", ["none", "hangs", "answers"])
def test_the_hub_is_asked_for_a_short_while(kind, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(network, "SECONDS", 0.05)

    def head(address, timeout):
        assert address == "http://hub"
        if kind == "none":
            raise ConnectionError
        if kind == "hangs":
            waiting.wait(20)

    monkeypatch.setattr("requests.head", head)
    monkeypatch.setattr(network, "SECONDS", 10.0 if kind != "hangs" else 0.05)
    said = network._answer("http://hub")
    waiting.set()
    assert said == {"none": "cannot be reached (ConnectionError)", "hangs": "no answer in 0.05 seconds"}.get(kind, "")


def test_wrong_versions_are_broken_and_absent_extras_lacking(monkeypatch):
    versions = {"torch": "2.1.0", "ray": "2.60.0"}
    monkeypatch.setattr(packages, "_version", versions.get)
    monkeypatch.setattr(packages.metadata, "version", lambda name: versions.get(name, "0.1"))
    monkeypatch.setattr(packages.metadata, "requires", lambda name: ["torch>=2.10", 'ray>=2.40; extra == "cluster"'])
    (required,) = packages.required()
    assert required.state == BROKEN and "torch>=2.10 (2.1.0)" in required.found
    assert required.cure == "pip install 'torch>=2.10'"
    states = {one.name: one.state for one in packages.optional()}
    assert states["ray"] == OK and states["wandb"] == LACKS


def test_a_cache_without_room_or_leave_says_which_variable_moves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 30))
    small = places._folder("cedistill", tmp_path / "not" / "yet", "CEDISTILL_CACHE")
    assert small.state == LACKS and "3 GiB free" in small.found and "CEDISTILL_CACHE" in small.cure
    assert not (tmp_path / "not").exists()
    monkeypatch.setattr(places.os, "access", lambda *_: False)
    assert places._folder("Hub", tmp_path, "HF_HUB_CACHE").state == BROKEN


def test_a_folder_of_own_data_is_named_with_its_sets(tiny, monkeypatch):
    monkeypatch.setenv("CEDISTILL_DATA", str(tiny.parent))
    assert places._own_data() == Finding("data", "CEDISTILL_DATA", OK, f"{tiny.parent}: tiny")
    monkeypatch.setenv("CEDISTILL_DATA", str(tiny / "nothing"))
    assert places._own_data().state == BROKEN


def test_guarded_hands_on_what_is_found():
    one = Finding("a", "b", OK, "c")
    assert guarded("a", "b", lambda: [one]) == [one]


def test_the_command_prints_lines_or_one_object(monkeypatch):
    from typer.testing import CliRunner

    from cedistill.cli import app

    one = Finding("hub", "there", LACKS, "no answer", "wait")
    monkeypatch.setattr(module, "CHECKS", (("hub", "Hub", lambda: [one]),))
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert lines == ["hub", "--  there  no answer", "-> wait", "", "nothing is broken (-- works without)"]
    assert json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout) == {"findings": [one._asdict()]}
