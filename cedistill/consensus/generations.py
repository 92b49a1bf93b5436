"""Generations of a consensus study: each in its own folder, kept or rejected by held-out labels, gone on with."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cedistill.config.consensus import ConsensusStudy, load_consensus
from cedistill.config.objective import Objective, load_objective
from cedistill.config.train_data import TrainData
from cedistill.consensus.lists import free_queries, write_lists
from cedistill.data.collections import Collection, open_collection, require_labels
from cedistill.data.digests import file_digest
from cedistill.data.files import writing
from cedistill.data.references import run_path
from cedistill.data.runs import Run, read_run, write_run
from cedistill.errors import InputError, shown
from cedistill.study.plan import slug
from cedistill.teachers.pseudo_labels import confident, pseudo_labels
from cedistill.training.record import Progress

MEASURE = "ndcg@10"
DEPTH = 100
_DONE = "generation.json"
_NOTE = "started.json"

Report = Callable[[str], Progress]


class Data(NamedTuple):
    """What a study reads: collections with their candidates, the fixed paths, the queries that get pseudo-labels."""

    labelled: tuple[Collection, Run]
    unlabelled: tuple[Collection, Run]
    held_out: tuple[Collection, Run]
    paths: dict[str, Run]
    queries: list[str]


def run_consensus(reference: str | Path, report: Report) -> dict[str, Any]:
    """Run the generations of a consensus study that are not done yet.

    Generation 0 learns from labels alone. Each further one learns from labels and from the consensus of the fixed paths
    and of the last accepted generation's students, a student's own predecessor left out. It is accepted when the mean
    over students of nDCG@10 on the held-out queries rises; the first that is not ends the study.

    Args:
        reference: the study's folder or file.
        report: given the name of a phase, returns what is called as it advances.

    Returns:
        ``title``, ``generations``: of each its number, ``students`` (name → held-out nDCG@10), their ``mean``,
        ``accepted``, the number of pseudo-labelled ``queries`` and their mean ``confidence``; and ``accepted``, the
        number of the last accepted generation.

    Raises:
        InputError: bad input, or a folder whose generations were made of other data or another configuration.
    """
    study, folder = load_consensus(reference)
    objective = _objective(study)
    data = _read(study)
    _check_same(folder, study, objective, data)
    done: list[dict[str, Any]] = []
    best = 0
    for number in range(study.generations + 1):
        place = folder / f"generation-{number}"
        if (place / _DONE).is_file():
            figures = json.loads((place / _DONE).read_text())
        else:
            before = None if number == 0 else folder / f"generation-{best}"
            rank = done[best]["mean"] if number else -1.0
            figures = _generation(number, study, objective, data, place, before, rank, report)
        done.append(figures)
        if not figures["accepted"]:
            break
        best = number
    result = {"title": study.title, "generations": done, "accepted": best}
    with writing(folder / "consensus.json") as file:
        json.dump(result, file, indent=1)
    with writing(folder / "consensus.md") as file:
        file.write(f"# {study.title}\n\n{consensus_table(result)}\n")
    return result


def consensus_table(result: dict[str, Any]) -> str:
    """Return the result of :func:`run_consensus` as Markdown, a row per generation and student."""
    tests = list(next(iter(result["generations"][0]["students"].values()))["tests"])
    header = ["generation", "student", "held-out nDCG@10", *tests, "queries", "confidence", "accepted"]
    rows = [header, ["---"] * len(header)]
    for one in result["generations"]:
        for name, figures in one["students"].items():
            sure = "" if one["confidence"] is None else f"{one['confidence']:.3f}"
            figured = [f"{value:.4f}" for value in (figures[MEASURE], *figures["tests"].values())]
            row = [str(one["generation"]), name, *figured, str(one["queries"]), sure]
            rows.append([*row, "yes" if one["accepted"] else "no"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _generation(
    number: int,
    study: ConsensusStudy,
    objective: Objective,
    data: Data,
    place: Path,
    before: Path | None,
    rank: float,
    report: Report,
) -> dict[str, Any]:
    names = _student_names(study)
    paths = dict(data.paths)
    if before is not None:
        paths |= {name: read_run(before / name / "unlabelled.trec.gz") for name in names}
    students: dict[str, Any] = {}
    sure: list[float] = []
    for name, backbone in names.items():
        found = {}
        if before is not None:
            how = study.label
            found = pseudo_labels(paths, data.queries, how.how, leave_out=name, anchor=how.anchor)
            found = confident(found, how.drop)
        sure += [one.confidence for one in found.values()]
        own = place / name
        if not (own / "lists.jsonl").is_file():
            write_lists(own / "lists.jsonl", data.labelled, data.unlabelled, found, study.label.weigh)
        students[name] = _student(study, objective if found else _of_labels(objective), backbone, own, data, report)
    mean = statistics.fmean(one[MEASURE] for one in students.values())
    figures = {
        "generation": number,
        "students": students,
        "mean": mean,
        "accepted": mean > rank,
        "queries": len(sure) // len(names),
        "confidence": statistics.fmean(sure) if sure else None,
    }
    with writing(place / _DONE) as file:
        json.dump(figures, file, indent=1)
    return figures


def _student(
    study: ConsensusStudy, objective: Objective, backbone: str, own: Path, data: Data, report: Report
) -> dict[str, Any]:
    """Train a fresh student on its lists, let it score, and return its figures."""
    if (own / "metrics.json").is_file():
        return dict(json.loads((own / "metrics.json").read_text()))
    from cedistill.evaluation.evaluate import evaluate
    from cedistill.evaluation.measures import mean, per_query
    from cedistill.evaluation.rerank import rerank
    from cedistill.model.reranker import Reranker
    from cedistill.training.train import train

    train(
        backbone,
        objective,
        own / "model",
        data=TrainData(lists=str(own / "lists.jsonl")),
        seed=study.seed,
        resume=True,
        log=own / "log.jsonl",
        command="cedistill consensus",
        progress=report(f"{own.parent.name} {own.name}: training"),
    )
    scorer = Reranker(own / "model", precision=objective.training.precision)
    told = report(f"{own.parent.name} {own.name}: scoring")
    for part, (collection, run) in (("unlabelled", data.unlabelled), ("held-out", data.held_out)):
        scored = rerank(scorer.score, collection, run, progress=lambda done, all_: told(done, all_, ""))
        write_run(own / f"{part}.trec.gz", scored, "cedistill")
    qrels = require_labels(data.held_out[0])
    held_out = mean(per_query(read_run(own / "held-out.trec.gz"), qrels, [MEASURE])[MEASURE])
    tests = evaluate(scorer, study.evaluate, own / "tests")["datasets"] if study.evaluate else {}
    figures = {
        MEASURE: held_out,
        "tests": {
            f"{label} {measure}": value
            for label, one in tests.items()
            for measure, value in one["runs"]["reranked"]["measures"].items()
        },
    }
    with writing(own / "metrics.json") as file:
        json.dump(figures, file, indent=1)
    return figures


def _objective(study: ConsensusStudy) -> Objective:
    tables = {"training": study.training, "lists": study.lists, "mixture": study.mixture}
    settings = [f"{name}.{key}={json.dumps(value)}" for name, table in tables.items() for key, value in table.items()]
    loaded = load_objective(study.objective, settings)
    if loaded.mixture is None or set(loaded.lists.needs) != {"labels", "teacher-scores"}:
        raise InputError(
            f"objective {loaded.title!r}: expected a [mixture] table and lists that need labels and teacher-scores "
            "for a consensus, found another kind; take objective = 'consensus'"
        )
    return loaded


def _of_labels(objective: Objective) -> Objective:
    lists = objective.lists.model_copy(update={"needs": ("labels",), "teachers": "mean"})
    return objective.model_copy(update={"mixture": None, "lists": lists})


def _student_names(study: ConsensusStudy) -> dict[str, str]:
    """Return the students' names, by which their folders go, with their backbones."""
    names = {slug(Path(one).name if Path(one).is_dir() else one): one for one in study.students}
    if len(names) < len(study.students):
        raise InputError(f"expected different students, found {', '.join(study.students)}; drop the repeated one")
    return names


def _read(study: ConsensusStudy) -> Data:
    from cedistill.evaluation.first_stage import candidates_of

    def opened(dataset: str | None, candidates: str | None) -> tuple[Collection, Run]:
        collection = open_collection(dataset or "")
        return collection, candidates_of(collection, candidates or "", DEPTH)

    labelled = opened(study.labelled.dataset, study.labelled.candidates)
    held_out = opened(study.held_out.dataset, study.held_out.candidates)
    blind = replace(open_collection(study.unlabelled.dataset or ""), qrels=None)  # labels there are not looked at
    unlabelled = blind, candidates_of(blind, study.unlabelled.candidates or "", DEPTH)
    judged = {"labelled": labelled[0], "held out": held_out[0]}
    judged |= {one.label: open_collection(one.dataset) for one in study.evaluate}
    queries = free_queries(unlabelled[1], unlabelled[0], judged)
    if not queries:
        raise InputError(
            f"{study.unlabelled.dataset}: expected unlabelled queries, found only such as are labelled elsewhere"
        )
    names = [run_path(one).name.removesuffix(".gz").removesuffix(".trec") for one in study.unlabelled.teachers]
    if len({*names, *_student_names(study)}) < len(names) + len(study.students):
        raise InputError(f"expected paths and students of different names, found {', '.join(names)}; rename the files")
    runs = [_within(read_run(run_path(one)), unlabelled[1]) for one in study.unlabelled.teachers]
    return Data(labelled, unlabelled, held_out, dict(zip(names, runs, strict=True)), queries)


def _within(run: Run, candidates: Run) -> Run:
    return {
        query_id: {one: score for one, score in run.get(query_id, {}).items() if one in offered}
        for query_id, offered in candidates.items()
    }


def _check_same(folder: Path, study: ConsensusStudy, objective: Objective, data: Data) -> None:
    """Leave a note of what the generations are made of, or refuse a folder with generations of something else."""
    read = (data.labelled, data.unlabelled, data.held_out)
    files = [[file_digest(path) for path in collection.files] for collection, _ in read]
    wanted = {
        "study": _hash(study.model_dump(mode="json", exclude={"title", "generations"})),
        "objective": _hash(objective.model_dump(mode="json")),
        "data": _hash([files, *(run for _, run in read)]),
        "paths": [file_digest(run_path(one)) for one in study.unlabelled.teachers],
    }
    note = folder / _NOTE
    if note.is_file():
        for key, value in wanted.items():
            if json.loads(note.read_text()).get(key) != value:
                raise InputError(
                    f"{folder}: expected generations made of the same {key}, found those of another; "
                    f"nothing is overwritten: copy {shown(note.parent.name)}/consensus.toml into a new folder"
                )
        return
    with writing(note) as file:
        json.dump(wanted, file)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
