"""The demo as a folder of files: collection, queries and judgements in BEIR layout, and the runs of its teachers."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.demo.draws import Draws
from cedistill.demo.first_stage import Scores, WordOverlap, training_candidates
from cedistill.demo.specialists import HABITS, habits, specialist
from cedistill.demo.teachers import MEMBERS, Judge, accurate, listwise, member
from cedistill.demo.texts import document_texts, query_text
from cedistill.demo.words import read_words
from cedistill.demo.world import QUERIES, Query, World, grade, make_world
from cedistill.errors import InputError

DEPTH = 100
_MEMBERS = tuple(f"ensemble-{number}" for number in range(1, MEMBERS + 1))
_SPECIALISTS = tuple(f"specialist-{number}" for number in range(1, len(HABITS) + 1))
TEACHERS = ("candidates", "accurate", *_MEMBERS, "ensemble", "llm", *_SPECIALISTS)
RUNS = tuple(f"{split}.{teacher}" for split in QUERIES for teacher in TEACHERS)

_Runs = dict[str, dict[str, Scores]]


def write_demo(folder: Path) -> None:
    """Generate the demo and write it as ``folder``, all of it or nothing.

    The folder holds ``corpus.jsonl``, ``queries.jsonl``, ``qrels/{train,dev,test}.tsv`` and ``teachers/NAME.trec`` for
    every name of ``RUNS``; the files are the same to the byte wherever they are made. Takes some seconds.

    Raises:
        InputError: ``folder`` exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or empty folder, found one with files in it; name another one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as parent:
        partial = Path(parent) / folder.name
        _write(partial)
        if folder.exists():
            folder.rmdir()
        shutil.move(partial, folder)


def _write(folder: Path) -> None:
    world = make_world(read_words(), Draws.named("world"))
    draws = Draws.named("texts")
    documents = {one.id: document_texts(one, world, draws) for one in world.documents}
    queries = {one.id: query_text(one, draws) for one in world.queries}
    _write_json_lines(
        folder / "corpus.jsonl",
        ({"_id": one, "title": title, "text": text} for one, (title, text) in documents.items()),
    )
    _write_json_lines(folder / "queries.jsonl", ({"_id": one, "text": text} for one, text in queries.items()))
    texts = {one: f"{title} {text}" for one, (title, text) in documents.items()}
    index = WordOverlap(texts)
    elsewhere = habits(world, texts, queries, functools.lru_cache(maxsize=1)(index.scores))
    for split in QUERIES:
        runs = _runs(split, world, queries, index, elsewhere)
        for teacher in TEACHERS:
            _write_run(folder / "teachers" / f"{split}.{teacher}.trec", runs[teacher], f"demo-{teacher}")
        if split != "unlabelled":
            _write_qrels(folder / "qrels" / f"{split}.tsv", world.split(split), runs["candidates"], world)


def _runs(
    split: str, world: World, queries: Mapping[str, str], index: WordOverlap, elsewhere: Sequence[Judge]
) -> _Runs:
    draws = {teacher: Draws.named(f"{split}.{teacher}") for teacher in TEACHERS}
    judges: dict[str, Judge] = {"accurate": accurate(draws["accurate"])}
    judges |= {name: member(number, read_words(), draws[name]) for number, name in enumerate(_MEMBERS)}
    judges |= {
        name: specialist(number, read_words(), elsewhere[number], draws[name])
        for number, name in enumerate(_SPECIALISTS)
    }
    by_id = {document.id: document for document in world.documents}
    runs: _Runs = {teacher: {} for teacher in TEACHERS}
    for query in world.split(split):
        text = queries[query.id]
        if split in ("dev", "test"):
            candidates = index.top(text, DEPTH)
        else:
            candidates = training_candidates(query, text, index, world, draws["candidates"])
        offered = [by_id[one] for one in candidates]
        runs["candidates"][query.id] = candidates
        for name, judge in judges.items():
            runs[name][query.id] = {document.id: judge(query, document) for document in offered}
        runs["ensemble"][query.id] = {
            one: sum(runs[name][query.id][one] for name in _MEMBERS) // MEMBERS for one in candidates
        }
        order = listwise(query, offered, draws["llm"])
        runs["llm"][query.id] = {one: len(order) - place for place, one in enumerate(order)}
    return runs


def _write_qrels(path: Path, queries: Iterable[Query], candidates: Mapping[str, Scores], world: World) -> None:
    """Write every grade above 0, and grade 0 for the documents on the topic and the candidates."""
    by_id = {document.id: document for document in world.documents}
    lines = ["query-id\tcorpus-id\tscore\n"]
    for query in queries:
        judged = sorted({one.id for one in world.of_topic[query.topic]} | candidates[query.id].keys())
        lines += [f"{query.id}\t{one}\t{grade(query, by_id[one])}\n" for one in judged]
    _write_text(path, lines)


def _write_run(path: Path, run: Mapping[str, Scores], tag: str) -> None:
    in_thousandths = tag not in ("demo-candidates", "demo-llm")
    lines: list[str] = []
    for query_id, scores in run.items():
        ranked = sorted(scores.items(), key=lambda one: (one[1], one[0]), reverse=True)
        lines += [
            f"{query_id} Q0 {document_id} {rank} {_thousandths(score) if in_thousandths else score} {tag}\n"
            for rank, (document_id, score) in enumerate(ranked, start=1)
        ]
    _write_text(path, lines)


def _thousandths(score: int) -> str:
    return f"{'-' if score < 0 else ''}{abs(score) // 1000}.{abs(score) % 1000:03d}"


def _write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    _write_text(path, (json.dumps(record) + "\n" for record in records))


def _write_text(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(lines)
