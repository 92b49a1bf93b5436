from pathlib import Path

import pytest

from cedistill.config.consensus import load_consensus
from cedistill.config.mixture import Routing
from cedistill.study.plan import cells, objective_of
from cedistill.study.reading import load_study

RESULTS = Path(__file__).parents[2] / "results"


ROUTINGS = set(Routing.__args__)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo-teachers", ROUTINGS),
        ("demo-members", {"uniform", "agreement", "supervised"}),
        ("trec-dl-teachers", ROUTINGS),
    ],
)
def test_studies_of_several_teachers_differ_in_the_routing_alone(name, expected, monkeypatch):
    monkeypatch.setenv("CEDISTILL_DATA", "/nowhere")
    study, _ = load_study(RESULTS / name)
    found = {cell.objective: objective_of(study, cell) for cell in cells(study)}
    routings = {key: one.mixture.routing for key, one in found.items()}
    assert routings.pop("best-single") == "uniform"
    assert len(study.objective["best-single"].train["teachers"]) == 1
    assert set(routings) == set(routings.values()) == expected
    # One thing differs between them.
    assert len({one.model_copy(update={"mixture": None}).model_dump_json() for one in found.values()}) == 1


def test_the_consensus_study_learns_decides_and_reports_on_different_years(monkeypatch):
    monkeypatch.setenv("CEDISTILL_DATA", "/nowhere")
    study, _ = load_consensus(RESULTS / "trec-dl-teachers")
    assert [study.labelled.dataset, study.unlabelled.dataset, study.held_out.dataset] == [
        f"/nowhere/msmarco-v{version}" for version in ("2:dl21", "2:dl22", "1:dl19")
    ]
    assert [one.label for one in study.evaluate] == ["dl20", "scifact"] and len(study.unlabelled.teachers) == 3
