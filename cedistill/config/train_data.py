"""What training lists are made of, as the command line and a study file name it."""

from __future__ import annotations

from cedistill.config.objective import Objective
from cedistill.config.toml import Strict
from cedistill.errors import InputError

SOURCES = {
    "msmarco-triples": "MS MARCO passage training triples (qidpidtriples.train.full.2): query, positive, negative",
    "msmarco-ensemble-scores": "scores of the BERT cross-encoder ensemble of Hofstätter et al. (Zenodo 4068216)",
    "msmarco-bertbase-scores": "scores of their single BERT-base teacher (Zenodo 4068216)",
    "rank-distillm-colbert": "ColBERTv2 top 500 of the judged training queries (Rank-DistiLLM, Zenodo 12528410)",
    "rank-distillm-bm25": "BM25 candidates of the judged training queries (Rank-DistiLLM, Zenodo 12528410)",
    "rank-distillm-rankzephyr-10": "RankZephyr, 10 000 queries to depth 10 (Rank-DistiLLM, Zenodo 12528410)",
    "rank-distillm-rankzephyr-50": "RankZephyr, 10 000 queries to depth 50 (Rank-DistiLLM, Zenodo 12528410)",
    "rank-distillm-rankzephyr-100": "RankZephyr, 10 000 queries to depth 100 (Rank-DistiLLM, Zenodo 12528410)",
}


class TrainData(Strict):
    """References to the data of a training run; what an objective does not need of it stays unread.

    ``dataset`` is a data set reference; ``candidates`` and ``teachers`` are runs; ``pairs`` and ``lists`` are files.
    """

    dataset: str | None = None
    candidates: str | None = None
    teachers: tuple[str, ...] = ()
    pairs: str | None = None
    lists: str | None = None


def needed(objective: Objective, data: TrainData) -> TrainData:
    """Return the part of ``data`` that ``objective`` reads: teachers only for their scores, or as candidates."""
    if objective.lists.teacher or data.candidates is None:
        return data
    return data.model_copy(update={"teachers": ()})


def check_provides(objective: Objective, data: TrainData) -> None:
    """Refuse data that cannot give what ``objective`` needs, before anything is loaded. Raises InputError."""
    if data == TrainData():
        source = objective.lists.source
        what = f" ({SOURCES[source]})" if source in SOURCES else ""
        raise InputError(
            f"objective {objective.title!r} needs training data: its own source {source!r}{what} is not fetched "
            f"by this version; download it and give --dataset with --pairs, --candidates or --teacher, or give --lists"
        )
    if data.lists is not None:
        _check_lists(objective, data)
    elif data.dataset is None:
        raise InputError("expected --dataset, found only ids without texts; give the data set that holds them")
    elif data.pairs is not None:
        _check_pairs(objective, data)
    else:
        _check_dataset(objective, data)


def _check_dataset(objective: Objective, data: TrainData) -> None:
    if objective.lists.teacher and not data.teachers:
        raise _lacks(
            objective, " and ".join(objective.lists.needs), f"{data.dataset} without --teacher", "give --teacher RUN"
        )
    if "labels" in objective.lists.needs:
        from cedistill.data.collections import check_labels

        check_labels(data.dataset or "")
        if data.candidates is None and not data.teachers and objective.lists.kind != "ranking":
            raise _lacks(objective, "negatives", "no candidates", "give --candidates RUN to draw them from")


def _check_pairs(objective: Objective, data: TrainData) -> None:
    if objective.lists.kind != "pairs":
        raise _lacks(
            objective,
            f"lists of kind {objective.lists.kind!r}",
            "--pairs, which gives lists of two documents",
            "give --candidates and --teacher, or --lists",
        )
    from cedistill.data.pairs import read_pairs

    first = next(iter(read_pairs(data.pairs or "")))
    if objective.lists.teacher and first.positive_score is None:
        raise _lacks(
            objective, "teacher-scores", f"{data.pairs} without scores", "give five columns, with the scores first"
        )
    if first.negative_id is None and data.candidates is None:
        raise _lacks(objective, "negatives", f"{data.pairs} of two columns", "give --candidates RUN to draw them from")


def _check_lists(objective: Objective, data: TrainData) -> None:
    others = [name for name in ("dataset", "candidates", "teachers", "pairs") if getattr(data, name)]
    if others:
        raise InputError(
            f"expected --lists alone, found it with {', '.join(others)}; the lists hold their own texts and scores"
        )
    from cedistill.data.text_lists import read_text_lists

    first = next(iter(read_text_lists(data.lists or "")))
    if objective.lists.teacher and not first.scores:
        raise _lacks(
            objective, "teacher-scores", f"{data.lists} without 'scores'", 'add "scores": {TEACHER: [...]} to each line'
        )
    if "labels" in objective.lists.needs and first.labels is None:
        raise _lacks(objective, "labels", f"{data.lists} without 'labels'", 'add "labels": [...] to each line')


def _lacks(objective: Objective, needed: str, found: str, cure: str) -> InputError:
    return InputError(f"objective {objective.title!r} needs {needed}, found {found}; {cure}")
