import csv
import json
import re
import statistics

import numpy as np
import pytest
from scipy import stats

from cedistill.config.benchmark import load_benchmark
from cedistill.errors import InputError
from cedistill.evaluation.compare import holm
from cedistill.evaluation.means import macro_mean
from cedistill.report.build import report_study
from cedistill.report.latex import escaped
from cedistill.report.published import read_published
from cedistill.report.table import ALPHA
from cedistill.study.reading import load_study

BACKBONES, OBJECTIVES, SEEDS = ["bert-base", "electra-base"], ["bce", "hinge", "margin-mse"], [1, 2, 3]


@pytest.fixture
def folder(make_study):
    return make_study(BACKBONES, OBJECTIVES, SEEDS)


def _cell(folder, backbone, objective, seed):
    return json.loads((folder / backbone / objective / f"seed-{seed}" / "metrics.json").read_text())


def _per_query(cell, label, measure, role="reranked"):
    return np.array([one[measure] for one in cell["datasets"][label]["runs"][role]["per_query"].values()])


def test_a_benchmark_with_a_mean_is_one_column_and_its_data_sets_stand_behind(folder):
    table = report_study(folder)
    columns = [(one["dataset"], one["measure"], one["table"]) for one in table["columns"]]
    of_sets = [(name, measure, "pair") for name in ("one", "two") for measure in ("ndcg@10", "rr@10")]
    assert columns == [("tiny", "ndcg@10", ""), ("pair", "ndcg@10", ""), ("pair", "rr@10", ""), *of_sets]
    assert table["columns"][1]["judged"] == 80 and table["columns"][1]["datasets"] == ["one", "two"]
    assert table["leading"] == [0, 1]
    groups = load_benchmark(str(folder / "pair.toml")).groups
    means = [
        macro_mean(_cell(folder, "electra-base", "hinge", seed)["datasets"], groups)["reranked"]["ndcg@10"]
        for seed in SEEDS
    ]
    row = next(one for one in table["rows"] if (one["backbone"], one["objective"]) == ("electra-base", "hinge"))
    assert row["values"][1]["mean"] == pytest.approx(statistics.fmean(means))
    assert row["values"][1]["deviation"] == pytest.approx(statistics.stdev(means)) and row["seeds"] == SEEDS


def test_every_figure_recomputed_from_the_cells(folder):
    table = report_study(folder)
    first = _per_query(_cell(folder, "bert-base", "bce", 1), "tiny", "ndcg@10", "bm25")
    rows = {(row["backbone"], row["objective"]): row for row in table["rows"][1:]}
    values = {
        key: np.mean([_per_query(_cell(folder, *key, seed), "tiny", "ndcg@10") for seed in SEEDS], axis=0)
        for key in rows
    }
    assert table["rows"][0]["values"][0]["mean"] == pytest.approx(first.mean())
    corrected = holm([stats.ttest_rel(one, first).pvalue for one in values.values()])
    for (key, one), p in zip(values.items(), corrected, strict=True):
        value = rows[key]["values"][0]
        assert value["mean"] == pytest.approx(one.mean()) and value["p"] == pytest.approx(p)
        assert value["difference"] == pytest.approx((one - first).mean())
    for backbone in BACKBONES:
        pairs = [("hinge", "bce"), ("margin-mse", "bce"), ("margin-mse", "hinge")]
        p = [stats.ttest_rel(values[backbone, a], values[backbone, b]).pvalue for a, b in pairs]
        better = dict.fromkeys(OBJECTIVES, "")
        for (winner, loser), one in zip(pairs, holm(p), strict=True):
            if one < ALPHA:
                better[winner] += "abc"[OBJECTIVES.index(loser)]
        assert {name: rows[backbone, name]["values"][0]["better"] for name in OBJECTIVES} == better
        assert better["margin-mse"] == "ab"
        assert [rows[backbone, name]["letter"] for name in OBJECTIVES] == ["a", "b", "c"]


def test_comparisons_stand_in_the_json_with_intervals_and_effects(folder):
    report_study(folder)
    found = json.loads((folder / "table.json").read_text())["comparisons"]
    families = {(one["column"], one["family"]) for one in found}
    assert families == {(c, f) for c in (0, 1, 2) for f in ("first stage", *BACKBONES)}
    assert len(found) == 3 * (6 + 2 * 3)
    one = next(one for one in found if one["run"] == "bert-base/hinge" and one["baseline"] == "bert-base/bce")
    assert one["interval"][0] < one["difference"] < one["interval"][1] and one["effect"] > 0


def test_csv_holds_every_figure_once(folder):
    table = report_study(folder)
    lines = list(csv.DictReader((folder / "table.csv").open()))
    assert len(lines) == 7 * 7
    by_key = {(one["backbone"], one["objective"], one["dataset"], one["measure"]): one for one in lines}
    assert len(by_key) == len(lines)
    value = table["rows"][2]["values"][3]
    line = by_key["bert-base", "hinge", "one", "ndcg@10"]
    assert float(line["mean"]) == value["mean"] and float(line["p_holm"]) == value["p"] and line["table"] == "pair"
    assert line["training_seconds"] == "60.0" and line["peak_memory_bytes"] == ""


def test_markdown_and_latex_hold_the_same_rows_and_marks(folder):
    table = report_study(folder, "cedistill report study")
    markdown, latex = (folder / "table.md").read_text(), (folder / "table.tex").read_text()
    assert "## pair, by data set" in markdown and "## Effectiveness and cost" in markdown
    best = max(row["values"][0]["mean"] for row in table["rows"][1:])
    assert f"**{best:.4f}**" in markdown and f"\\textbf{{{best:.3f}}}".replace("0.", ".") in latex
    for block in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", latex, re.S):
        alignment, body = block
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        widths = {sum(int(n or 1) for n in re.findall(r"(?:multicolumn{(\d+)})|&", line)) for line in lines}
        spanned = [line for line in lines if "multicolumn" not in line]
        assert {line.count("&") + 1 for line in spanned} == {len(alignment)} and widths
        assert body.count(r"\toprule") == body.count(r"\bottomrule") == 1
    assert latex.count("{") == latex.count("}") and "Drawn \\textless{}figures\\textgreater{} \\& co" in latex
    assert "bert" in latex.lower() and r"\textsuperscript{$\ast$ab}" in latex


def test_latex_signs_are_escaped():
    assert (
        escaped(r"50% of a_b & {c}~^\#$")
        == r"50\% of a\_b \& \{c\}\textasciitilde{}\textasciicircum{}\textbackslash{}\#\$"
    )


def test_published_values_stand_beside_ours(folder):
    (folder / "published.csv").write_text(
        "backbone,loss,tiny_nDCG10,pair RR@10\nBERT-Base,MarginMSE,0.5,0.25\nELECTRA,BCE,,0.1\n"
    )
    table = report_study(folder)
    rows = {(row["backbone"], row["objective"]): row["values"] for row in table["rows"]}
    values = rows["bert-base", "margin-mse"]
    assert [value.get("published") for value in values] == [0.5, 0.5, 0.25, None, None, None, None]
    assert [values[place]["source"] for place in (0, 1)] == ["published.csv", "Someone 2025, BERT-Base, MarginMSE"]
    assert values[0]["to_published"] == pytest.approx(values[0]["mean"] - 0.5)
    assert [value.get("published") for value in rows["electra-base", "bce"]][:3] == [None, None, 0.1]
    assert "published" not in rows["electra-base", "hinge"][0]
    text = (folder / "table.md").read_text()
    assert "## Beside published figures" in text and f"{values[2]['mean'] - 0.25:+.4f}" in text


def test_the_studys_own_table_maps_to_benchmarks(tmp_path):
    """The shipped published figures, under a study that names the study's benchmarks."""
    from pathlib import Path

    from cedistill.report.columns import columns_of
    from cedistill.report.published import published_value

    named = ["msmarco-dev", "beir", "lotte-search", "robust04"]
    text = 'title = "x"\nbackbones = ["deberta-v3-base"]\nobjectives = ["bce"]\n'
    text += "".join(f'[[evaluate]]\nbenchmark = "{name}"\n' for name in named)
    text += "".join(f'[[evaluate]]\nbenchmark = "trec-dl/{name}"\nname = "{name}"\n' for name in ("dl19", "dl20"))
    (tmp_path / "study.toml").write_text(text)
    rows = read_published(Path(__file__).parents[2] / "results" / "paper" / "published.csv")
    study, _ = load_study(tmp_path)
    found = {
        one.name: published_value(rows, "deberta-v3-base", "bce", one)
        for one in columns_of(study)
        if one.measure == "ndcg@10" and not one.table
    }
    known = next(row.values for row in rows if (row.backbone, row.objective) == ("DeBERTa-v3", "BCE"))
    expected = dict(
        zip(["msmarco-dev", "dl19", "dl20", "beir", "lotte-search", "robust04 title"], known.values(), strict=True)
    )
    assert {name: value[0] for name, value in found.items() if value} == expected
    assert found["robust04 description"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backbone,objective,x\n", "published.csv:1: expected columns backbone, loss and figures"),
        ("backbone,loss,x\na,b\n", "published.csv:2: expected 3 columns, found 2"),
        ("backbone,loss,x\na,b,c\n", "published.csv:2: expected numbers"),
    ],
)
def test_malformed_published_figures_are_told(folder, text, message):
    (folder / "published.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        report_study(folder)
    assert not (folder / "table.md").exists()


def test_groups_of_a_benchmark_count_as_one_in_its_mean(tmp_path):
    from cedistill.report.columns import columns_of

    text = 'title = "x"\nbackbones = ["bert-base"]\nobjectives = ["bce"]\n[[evaluate]]\nbenchmark = "beir-15"\n'
    (tmp_path / "study.toml").write_text(text)
    column = columns_of(load_study(tmp_path)[0])[0]
    forums = {label: share for label, share in zip(column.labels, column.shares, strict=True) if "cqadupstack" in label}
    others = {share for label, share in zip(column.labels, column.shares, strict=True) if label not in forums}
    groups = len(load_benchmark("beir-15").groups)
    assert len(forums) == 12 and sum(forums.values()) == pytest.approx(1 / groups) and others == {1 / groups}
    assert sum(column.shares) == pytest.approx(1) and column.is_mean and column.name == "beir-15"
