import json
import re

import pytest

from cedistill.errors import InputError
from cedistill.report.build import report_study

TWELVE = ["ettin-17m", "ettin-32m", "minilm-l6", "minilm-l12", "ettin-68m", "bert-base", "electra-base"]
TWELVE += ["roberta-base", "ettin-150m", "deberta-v3-base", "modernbert-base", "own/model"]


def test_one_cell_on_one_data_set(make_study):
    folder = make_study(["bert-base"], ["bce"], [1], benchmark=None)
    table = report_study(folder, page=True)
    assert [row["objective"] for row in table["rows"]] == ["first stage", "bce"]
    assert table["rows"][1]["letter"] == "" and table["rows"][1]["values"][0]["deviation"] is None
    assert "it takes at least 3" in table["rankings"]["objectives"]["none"]
    page = (folder / "report" / "index.html").read_text()
    assert "With one seed each" in page and "1 model (1 backbone, 1 objective, 1 seed) on 1 data set" in page
    assert (
        "±" not in (folder / "table.md").read_text() and "row " not in (folder / "table.md").read_text().splitlines()[2]
    )


def test_twelve_backbones_with_one_objective_are_compared_with_each_other(make_study):
    folder = make_study(TWELVE, ["bce"], [1, 2])
    table = report_study(folder, page=True)
    assert [row["letter"] for row in table["rows"][1:]] == list("abcdefghijkl")
    assert len([one for one in table["comparisons"] if one["family"] == "" and one["column"] == 0]) == 12 * 11 // 2
    assert "none" in table["rankings"]["objectives"] and len(table["rankings"]["backbones"]["names"]) == 12
    assert (folder / "report" / "figures" / "ranks-of-backbones.svg").is_file()


def test_a_whole_grid(make_study):
    folder = make_study(TWELVE[4:7], ["untrained", "bce", "hinge", "margin-mse"], [1, 2, 3])
    table = report_study(folder, "cedistill report study", page=True)
    ranks = table["rankings"]["objectives"]
    assert ranks["names"][0] == "margin-mse" and ranks["blocks"] == 6 and "untrained" not in ranks["names"]
    page = (folder / "report" / "index.html").read_text()
    assert "Drawn &lt;figures&gt; &amp; co" in page and "cedistill report study" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#|data:,)", page) and "url(http" not in page
    names = {path.name for path in (folder / "report" / "figures").iterdir()}
    figures = {"heat-map", "effectiveness-and-cost", "validation", "loss", "ranks-of-objectives", "ranks-of-backbones"}
    assert names == {f"{one}.{ending}" for one in figures for ending in ("svg", "png")}


def test_how_several_teachers_were_routed_is_drawn(make_study):
    folder = make_study(["bert-base"], ["bce", "hinge"], [1, 2])
    for log in folder.glob("*/hinge/*/log.jsonl"):
        shares = [{"one": n / 100, "two": 1 - n / 100} for n in range(1, 40)]
        lines = [{"step": n, "routing_entropy": 0.5, "routing_share": one} for n, one in enumerate(shares, start=1)]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report_study(folder, page=True)
    for name in ("routing-entropy", "routing-share", "teacher-shares"):
        assert (folder / "report" / "figures" / f"{name}.png").is_file()
    drawn = (folder / "report" / "figures" / "teacher-shares.svg").read_text()
    assert ">two<" in drawn and ">hinge<" in drawn.lower() and ">bce<" not in drawn.lower()
    page = (folder / "report" / "index.html").read_text()
    assert "the areas of an objective add up to 1" in page and "the entropy of their weights by step" in page


def test_missing_logs_runs_and_cells_leave_blanks(make_study):
    folder = make_study(["bert-base", "electra-base"], ["bce", "hinge", "infonce"], [1], log=False, runs=False)
    (folder / "electra-base" / "hinge" / "seed-1" / "metrics.json").unlink()
    stale = folder / "electra-base" / "bce" / "seed-1" / "metrics.json"
    figures = json.loads(stale.read_text())
    del figures["datasets"]["tiny"]
    stale.write_text(json.dumps(figures))
    table = report_study(folder, page=True)
    assert table["missing"] == ["electra-base/bce/seed-1", "electra-base/hinge/seed-1"]
    # Blocks of ELECTRA have gaps.
    assert table["rankings"]["objectives"]["blocks"] == 2 and table["rankings"]["objectives"]["left_out"] == 2
    assert "Learning curves" not in (folder / "report" / "index.html").read_text()


def test_the_same_figures_give_the_same_files(make_study):
    folder = make_study(["bert-base"], ["bce", "hinge"], [1, 2])
    report_study(folder, page=True)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report_study(folder, page=True)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_figures_is_told(make_study):
    folder = make_study(["bert-base"], ["bce"], [1])
    (folder / "bert-base" / "bce" / "seed-1" / "metrics.json").unlink()
    with pytest.raises(InputError, match="expected a cell with figures, found none"):
        report_study(folder)
    assert not (folder / "table.md").exists()


def test_texts_cannot_break_out_of_the_page():
    from cedistill.report.page import _for_script

    text = _for_script({"a": "</script><script>alert(1)</script> & \u2028"})
    assert "<" not in text and json.loads(text)["a"].startswith("</script>")


def test_texts_may_be_left_out(make_study):
    folder = make_study(["bert-base"], ["bce", "hinge"], [1])
    page = folder / "report" / "index.html"
    report_study(folder, page=True)
    assert "what about topic" in page.read_text() and "this tells of" in page.read_text()
    report_study(folder, page=True, texts=False)
    assert "what about topic" not in page.read_text() and "this tells of" not in page.read_text()
    assert '"d0"' in page.read_text()


def test_models_that_are_there_get_cards_with_their_figures(make_study):
    folder = make_study(["bert-base"], ["bce"], [1])
    model = folder / "bert-base" / "bce" / "seed-1" / "model"
    model.mkdir()
    content = {
        "backbone": "bert-base",
        "objective": {"title": "Binary cross-entropy", "paper": ""},
        "schedule": {"lists_per_step": 8, "learning_rate": 1e-5},
        "figures": {"steps": 3, "precision": "float32"},
        "inputs": [{"role": "pairs", "file": "x", "sha256": "0" * 64}],
        "seed": 1,
        "query_tokens": 32,
        "document_tokens": 256,
    }
    (model / "cedistill.json").write_text(json.dumps(content))
    report_study(folder, page=True)
    assert "| one | ndcg@10 |" in (model / "README.md").read_text()
