"""What training lists are made of, as the command line and a study file name it."""

from __future__ import annotations

from cedistill.config.objective import Negatives, Objective
from cedistill.config.sources import find_source
from cedistill.config.toml import Strict
from cedistill.errors import InputError


class TrainData(Strict):
    """References to the data of a training run; what an objective does not need of it stays unread.

    ``dataset`` is a data set reference; ``candidates`` and ``teachers`` are runs; ``pairs`` and ``lists`` are files.
    ``list_weights`` says how much each query's lists count (see ``cedistill.data.list_weights``).
    ``source`` is a training source of the study by name, whose texts are MS MARCO's unless a ``dataset`` is given.
    """

    source: str | None = None

    dataset: str | None = None
    candidates: str | None = None
    teachers: tuple[str, ...] = ()
    pairs: str | None = None
    lists: str | None = None
    list_weights: str | None = None


def bound(objective: Objective, data: TrainData) -> tuple[Objective, TrainData]:
    """Return ``objective`` and ``data`` with all that follows from the training source put in.

    Without any data an objective takes its own source; how the study read a source holds where the objective's lists
    leave it open. Raises InputError for an unknown source.
    """
    if data == TrainData() and objective.lists.source is not None:
        data = TrainData(source=objective.lists.source)
    if data.source is None:
        return objective, data
    source, lists = find_source(data.source), objective.lists
    details = {key: getattr(source, key) for key in ("order", "shuffle_seed", "positives")}
    details = {key: value for key, value in details.items() if getattr(lists, key) is None}
    return objective.model_copy(update={"lists": lists.model_copy(update=details)}), data


def needed(objective: Objective, data: TrainData) -> TrainData:
    """Return the part of ``data`` that ``objective`` reads: teachers only for their scores, or as candidates."""
    if objective.lists.teacher or objective.lists.negatives.margin is not None or data.candidates is None:
        return data
    return data.model_copy(update={"teachers": ()})


def check_provides(objective: Objective, data: TrainData) -> None:
    """Refuse data that cannot give what ``objective`` needs, before anything is loaded. Raises InputError."""
    objective, data = bound(objective, data)
    if data == TrainData():
        raise InputError(
            f"objective {objective.title!r} needs training data, found none; give --dataset with --pairs, --candidates "
            "or --teacher, or give --lists, or --source"
        )
    if data.list_weights is not None and (data.dataset is None or data.source is not None or data.pairs is not None):
        raise InputError(
            "expected --list-weights with --dataset and --candidates or --teacher, found it with other data; "
            'drop it (lists of --lists carry their own: "weight")'
        )
    if data.source is not None:
        _check_source(objective, data)
    elif data.lists is not None:
        _check_lists(objective, data)
    elif data.dataset is None:
        raise InputError("expected --dataset, found only ids without texts; give the data set that holds them")
    elif data.pairs is not None:
        _check_pairs(objective, data)
    else:
        _check_dataset(objective, data)


def _check_source(objective: Objective, data: TrainData) -> None:
    source, lists = find_source(data.source or ""), objective.lists
    others = [name for name in ("candidates", "teachers", "pairs", "lists") if getattr(data, name)]
    if others:
        raise InputError(
            f"expected --source alone or with --dataset, found it with {', '.join(others)}; "
            "drop one of the two, or give the source's own file with --pairs or --candidates"
        )
    if source.kind != "run":
        if lists.kind != "pairs":
            cure = "take a source of runs, such as rank-distillm-colbert"
            raise _lacks(objective, f"lists of kind {lists.kind!r}", f"the pairs of {source.name}", cure)
        if lists.teacher and source.kind == "triples":
            cure = "take msmarco-ensemble-scores"
            raise _lacks(objective, "teacher-scores", f"{source.name} without scores", cure)
        _check_no_draw(objective, source.name)
    elif "labels" in lists.needs and data.dataset is not None:
        from cedistill.data.collections import require_labels

        require_labels(data.dataset)


def _check_no_draw(objective: Objective, pairs: str) -> None:
    if objective.lists.negatives != Negatives():
        raise _lacks(
            objective,
            "candidates to draw its negatives from (lists.negatives)",
            f"{pairs}, whose negatives are given",
            "drop lists.negatives, or give --candidates RUN",
        )


def _check_dataset(objective: Objective, data: TrainData) -> None:
    if objective.lists.teacher and not data.teachers:
        raise _lacks(
            objective, " and ".join(objective.lists.needs), f"{data.dataset} without --teacher", "give --teacher RUN"
        )
    if objective.lists.negatives.margin is not None and not data.teachers:
        raise _lacks(objective, "a teacher for lists.negatives.margin", f"{data.dataset} without --teacher", "give one")
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
    if first.negative_id is not None:
        _check_no_draw(objective, data.pairs or "")
    elif objective.lists.negatives.margin is not None:
        cure = "drop lists.negatives.margin, or give --teacher with labels in the data set in place of --pairs"
        raise _lacks(objective, "a teacher for lists.negatives.margin", f"{data.pairs} without scores", cure)


def _check_lists(objective: Objective, data: TrainData) -> None:
    others = [name for name in ("dataset", "candidates", "teachers", "pairs") if getattr(data, name)]
    if others:
        raise InputError(
            f"expected --lists alone, found it with {', '.join(others)}; the lists hold their own texts and scores"
        )
    from cedistill.data.text_lists import read_text_lists

    first = next(iter(read_text_lists(data.lists or "")))
    every = read_text_lists(data.lists or "")  # lists with labels and lists with scores may stand side by side
    if objective.lists.teacher and not (first.scores or any(one.scores for one in every)):
        raise _lacks(
            objective, "teacher-scores", f"{data.lists} without 'scores'", 'add "scores": {TEACHER: [...]} to each line'
        )
    if objective.lists.negatives.margin is not None and not first.scores:
        cure = 'add "scores": {TEACHER: [...]} to each line'
        raise _lacks(objective, "a teacher for lists.negatives.margin", f"{data.lists} without 'scores'", cure)
    if "labels" in objective.lists.needs and first.labels is None:
        raise _lacks(objective, "labels", f"{data.lists} without 'labels'", 'add "labels": [...] to each line')


def _lacks(objective: Objective, needed: str, found: str, cure: str) -> InputError:
    return InputError(f"objective {objective.title!r} needs {needed}, found {found}; {cure}")
