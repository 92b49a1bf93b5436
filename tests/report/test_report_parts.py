import gzip
import json
import struct

import numpy as np
import pytest
from scipy import stats

from cedistill.evaluation.compare import holm
from cedistill.report.cost import cell_cost, mean_cost, read_log, shown_cost
from cedistill.report.figures.curves import loss_curves, mean_curve, routing_curves, smooth, validation_curves
from cedistill.report.figures.style import for_page
from cedistill.report.figures.teacher_shares import shares_of
from cedistill.report.queries import every_two, most_different, top_documents, widest
from cedistill.report.teachers import agreement, teacher_agreement
from cedistill.study.reading import load_study


def test_cost_takes_what_was_recorded_and_counts_weights(tmp_path):
    header = {"a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, "b": {"shape": [5]}, "__metadata__": {}}
    content = json.dumps(header).encode()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)
    lines = [{"step": n, "pairs_per_second": speed} for n, speed in enumerate([10, 90, 100, 110])]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"step": 9, "los')
    figures = {"training": {"seconds": 30, "peak_memory_bytes": 2**30}, "cost": {"pairs_per_second": 400}}
    known = {"parameters": 17, "training_seconds": 30, "training_pairs_per_second": 95, "pairs_per_second": 400}
    known |= {"ms_per_100_documents": 250, "peak_memory_bytes": 2**30}
    assert cell_cost(figures, tmp_path) == known and len(read_log(tmp_path)) == 4
    assert cell_cost({"training": None}, None) == {}
    merged = mean_cost(
        [{"training_seconds": 1, "peak_memory_bytes": 5}, {"training_seconds": 3, "peak_memory_bytes": 4}]
    )
    assert merged == {"training_seconds": 2, "peak_memory_bytes": 5}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("parameters", 22_700_000, "22.7 M"),
        ("training_seconds", 90, "90 s"),
        ("training_seconds", 3_000, "50 min"),
        ("training_seconds", 10_000, "2.8 h"),
        ("peak_memory_bytes", 3 * 2**29, "1.5 GiB"),
        ("pairs_per_second", 12_345, "12 345"),
        ("ms_per_100_documents", 26.24, "26.2"),
        ("parameters", None, ""),
    ],
)
def test_cost_is_shown_in_its_unit(name, value, shown):
    assert shown_cost(name, value) == shown


def test_routing_curves():
    line = {"step": 2, "loss": 1.0, "routing_entropy": 0.5, "routing_share": {"a": 0.25, "b": 0.75}}
    logs = {("b", "soft"): [[{"step": 1, "loss": 2.0}, line], []], ("b", "bce"): [[{"step": 1, "loss": 4.0}]]}
    assert routing_curves(logs) == {
        "entropy": {("b", "soft"): [[(2, 0.5)], []]},
        "share": {("b", "soft"): [[(2, 0.75)], []]},
    }
    assert routing_curves({("b", "bce"): [[{"step": 1, "loss": 4.0}]]}) == {"entropy": {}, "share": {}}


def test_shares_of_each_teacher():
    def log(*shares):
        return [{"step": step, "routing_share": {"a": one, "b": 1 - one}} for step, one in enumerate(shares, start=1)]

    logs = {
        ("b", "soft"): [log(0.5, 0.2), [{"step": 1, "loss": 2.0}]],
        ("c", "soft"): [log(0.7, 0.6)],
        ("b", "one"): [[{"step": 1, "routing_share": {"a": 1.0}}]],
        ("b", "bce"): [[{"step": 1, "loss": 4.0}]],
    }
    found = shares_of(logs)
    assert set(found) == {"soft"}
    assert found["soft"]["a"] == [(1, pytest.approx(0.6)), (2, pytest.approx(0.4))]
    assert found["soft"]["b"] == [(1, pytest.approx(0.4)), (2, pytest.approx(0.6))]


def test_curves():
    log = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 2.0}, {"step": 2, "validation": {"ndcg@10": 0.5}}]
    other = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 0.5}]
    logs = {("b", "o"): [log, other], ("b", "untrained"): [[]]}
    assert loss_curves(logs) == {("b", "o"): [[(1, 4 / 3), (2, 2 / 3)], [(1, 1.0), (2, 1.0), (3, 0.5)]]}
    assert validation_curves(logs) == ("ndcg@10", {("b", "o"): [[(2, 0.5)], []]})
    assert mean_curve([[(1, 0.2), (2, 0.4)], [(2, 0.8), (3, 1.0)], []]) == [(2, pytest.approx(0.6))]
    curve = [(float(n), float(n % 2)) for n in range(48)]
    assert smooth(curve)[10] == (10.0, pytest.approx(2 / 5)) and smooth(curve[:10]) == curve[:10]


def test_an_svg_of_a_page_follows_its_colours():
    svg = '<?xml version="1.0"?><svg width="5pt" height="4pt" viewBox="0 0 5 4"><metadata>x</metadata>'
    svg += "<text style=\"font: 10px 'DejaVu Sans', sans-serif; fill: #1b2127\">a</text>"
    svg += '<path style="stroke: #0b6e99"/></svg>'
    page = for_page(svg)
    assert (
        page.startswith('<svg viewBox="0 0 5 4" style="max-width: 8px" aria-hidden="true"') and "metadata" not in page
    )
    assert "fill: var(--ink)" in page and "stroke: var(--s0)" in page and "DejaVu" not in page


def test_every_two_models_of_a_data_set():
    source = np.random.default_rng(0)
    seeds = [source.random((count, 30)) + level for count, level in ((1, 0.0), (2, 0.2), (3, 0.4))]
    means = np.stack([one.mean(axis=0) for one in seeds])
    found = every_two(seeds, means)
    p = [stats.ttest_rel(means[a], means[b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [one[0] for one in found] == pytest.approx(
        [(means[a] - means[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))], abs=1e-4
    )
    assert [one[3] for one in found] == pytest.approx(p, rel=0.06)
    assert [one[4] for one in found] == pytest.approx(holm(p), rel=0.06)
    assert all(one[1] < one[0] < one[2] for one in found)


def test_queries_that_are_kept():
    values = np.array([[0.0, 0.5, 0.9, 0.3], [0.1, 0.5, 0.1, 0.9]])
    assert widest(values, 2) == [2, 3] and widest(values, 4) == [0, 1, 2, 3]
    assert most_different(values, 2) == [3, 2] and set(most_different(values, 4)) == {0, 1, 2, 3}


def test_top_documents_of_a_run(tmp_path):
    with gzip.open(tmp_path / "x.trec.gz", "wt") as file:
        file.write("".join(f"q{i} Q0 d{i}{k} {k} {9 - k} tag\n" for i in range(3) for k in range(5)))
    assert top_documents(tmp_path / "x.trec.gz", ["q0", "q2", "q9"], 2) == {
        "q0": ["d00", "d01"],
        "q2": ["d20", "d21"],
        "q9": [],
    }


def test_agreement_by_hand():
    first = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}, "r": {"a": 1.0, "b": 2.0}}
    second = {"q": {"a": 3.0, "b": 1.0, "c": 2.0}, "s": {"a": 1.0}}
    # Of three pairs two agree: tau 1/3. The first ten are all three documents.
    assert agreement(first, second) == {
        "kendall": pytest.approx(1 / 3),
        "errors": None,
        "overlap": 1.0,
        "queries": 1,
    }
    assert agreement(first, {"z": {"a": 1.0}}) == {
        "kendall": None,
        "errors": None,
        "overlap": None,
        "queries": 0,
    }


def test_teachers_of_a_study(make_study):
    folder = make_study(["bert-base"], ["bce", "margin-mse"], [1])
    study, _ = load_study(folder)
    found = teacher_agreement(study)
    assert [one["name"] for one in found["teachers"]] == ["teacher", "candidates"] and found["absent"] == []
    # The teacher has d0 to d9 in this order for each query: q0's d0 (grade 2) and d6 (grade 1) at ranks 1 and 7.
    assert found["teachers"][0]["judged"] == 6 and 0 < found["teachers"][0]["ndcg@10"] < 1
    (pair,) = found["pairs"]
    assert pair["queries"] == 6 and pair["kendall"] == pytest.approx(1.0) and pair["errors"] is not None
    (folder.parent / "tiny" / "teacher.trec").unlink()
    assert [one.rpartition("/")[2] for one in teacher_agreement(study)["absent"]] == ["teacher.trec"]
