import json
import math

import pytest

from cedistill.errors import InputError
from cedistill.evaluation.metrics import metrics
from cedistill.teachers.accounts import read_account
from cedistill.teachers.quality import compared, quality, quality_table

LABELS = {"q": {"a": 1, "b": 1, "c": 0, "d": 0}}


def _run(*scores):
    return {"q": dict(zip("abcd", map(float, scores), strict=False))}


ONE = _run(3, 1, -1, -3)  # twice the standardised labels (1, 1, −1, −1), plus the noise (1, −1, 1, −1)


@pytest.mark.parametrize(
    ("other", "kendall", "spearman", "errors"),
    [
        (_run(3, 1, -3, -1), 4 / 6, 0.8, 0.0),  # the noise (1, −1, −1, 1), orthogonal to the other; one pair swapped
        (_run(30, 10, -10, -30), 1.0, 1.0, 1.0),  # the same noise
        (_run(1, 3, -3, -1), 2 / 6, 0.6, -1.0),  # the opposite noise; two pairs swapped
    ],
)
def test_agreement_and_errors_by_hand(other, kendall, spearman, errors):
    found = compared(ONE, other, LABELS)
    assert found == {
        "queries": 1,
        "documents": 4,
        "kendall": pytest.approx(kendall),
        "spearman": pytest.approx(spearman),
        "errors": pytest.approx(errors, abs=1e-12),
    }


def test_only_what_both_scored_counts():
    found = compared({**ONE, "alone": {"a": 1.0}}, _run(1, 2, 3), LABELS)
    assert (found["queries"], found["documents"]) == (1, 3)
    assert found["kendall"] == -1 and found["spearman"] == pytest.approx(-1)


def test_what_cannot_be_said_is_none():
    found = compared(ONE, _run(1, 1, 1, 1), LABELS)
    assert (found["kendall"], found["spearman"], found["errors"]) == (None, None, None)
    assert compared(ONE, {"p": {"a": 1.0}}) == {
        "queries": 0,
        "documents": 0,
        "kendall": None,
        "spearman": None,
        "errors": None,
    }


def test_failures_on_the_same_queries():
    labels = {f"q{i}": {"good": 1} for i in range(3)}

    def wrong_at(*wrong):  # nDCG 1, or 1 / log₂ 3 where the relevant document comes second
        return {one: {"good": 1.0, "bad": 2.0 if one in wrong else 0.0} for one in labels}

    runs = {"a": wrong_at("q0"), "b": wrong_at("q1"), "c": wrong_at("q0")}
    report = quality(runs, labels)
    # Deficits (x, 0, 0) and (0, x, 0): covariance −1/3, variances 2/3.
    assert [one["failures"] for one in report["pairs"]] == [pytest.approx(one) for one in (-0.5, 1.0, -0.5)]
    assert report["teachers"]["a"]["ndcg@10"] == pytest.approx((2 + 1 / math.log2(3)) / 3)


def test_coverage_ties_and_malformed_share():
    candidates = {"q": dict.fromkeys("abcd", 0.0), "p": dict.fromkeys("ab", 0.0)}
    runs = {"llm": {"q": {"a": 3.0, "b": 3.0, "c": 1.0, "z": 9.0}}, "other": _run(4, 3, 2, 1)}
    report = quality(runs, LABELS, candidates, {"llm": {"malformed_share": 0.25}})
    llm = report["teachers"]["llm"]
    assert llm["coverage"] == 3 / 6 and llm["documents"] == 3 and llm["malformed"] == 0.25
    assert llm["tied"] == pytest.approx(1 / 3)  # a and b, of three pairs
    assert report["teachers"]["other"]["malformed"] is None
    assert report["teachers"]["llm"]["ndcg@10"] == 1  # z would come first, but is no candidate
    table = quality_table(report)
    assert "50.0%" in table and "25.0%" in table and "(all, agreement)" in table


def test_without_labels_there_is_agreement_alone():
    report = quality({"a": ONE, "b": ONE})
    assert report["combinations"] == {} and report["teachers"]["a"]["ndcg@10"] is None
    assert report["pairs"][0]["kendall"] == pytest.approx(1) and report["pairs"][0]["failures"] is None
    assert quality_table(report)


def test_a_teacher_without_any_candidate_is_refused():
    with pytest.raises(InputError, match="b: expected scores of the candidates"):
        quality({"a": ONE, "b": {"other": {"x": 1.0}}}, candidates=ONE)


def test_accounts_of_llms_lie_beside_their_runs(tmp_path):
    members = tmp_path / "out.trec.members"
    members.mkdir()
    teachers = [{"run": "out.trec.members/llm-m.trec", "malformed_share": 0.1}, {"run": "out.trec.members/bm25.trec"}]
    (tmp_path / "out.trec.report.json").write_text(json.dumps({"output": "out.trec", "teachers": teachers}))
    assert read_account(members / "llm-m.trec")["malformed_share"] == 0.1
    assert "malformed_share" not in read_account(members / "bm25.trec")
    assert read_account(tmp_path / "out.trec") == read_account(tmp_path / "else.trec") == {}
    (tmp_path / "out.trec.report.json").write_text("[]")
    with pytest.raises(InputError, match=r"out\.trec\.report\.json:1: expected the report of `cedistill teach`"):
        read_account(members / "bm25.trec")


def test_real_teachers_figures_are_those_of_metrics(shared_data):
    from cedistill.data.qrels import read_qrels
    from cedistill.data.runs import read_run

    folder = shared_data / "msmarco-v1"
    paths = [folder / "teachers" / f"dl19.{one}.trec.gz" for one in ("gpt-3.5-turbo-1", "gpt-3.5-turbo-2")]
    paths.append(folder / "teachers" / "dl19.rankvicuna-tas-b.trec.gz")
    qrels = read_qrels(folder / "qrels" / "dl19.tsv")
    report = quality({path.name.removesuffix(".trec.gz"): read_run(path) for path in paths}, qrels)
    figures = metrics(paths, qrels, ["ndcg@10"])["runs"]
    assert {one: teacher["ndcg@10"] for one, teacher in report["teachers"].items()} == {
        one: run["measures"]["ndcg@10"] for one, run in figures.items()
    }
    repetition, stranger, _ = report["pairs"]
    assert repetition["kendall"] > 0.9 > 0.6 > stranger["kendall"] and repetition["errors"] > stranger["errors"] + 0.3
