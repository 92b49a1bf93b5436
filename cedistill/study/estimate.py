"""What a study would cost: pairs, tokens and floating-point operations of its cells, worked out and not tried."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

from cedistill.config.benchmark import Evaluation
from cedistill.config.objective import schedule
from cedistill.config.train_data import TrainData, bound
from cedistill.data.collections import is_public, require_labels
from cedistill.data.references import is_retriever, parse_retriever
from cedistill.model.backbones import group_of
from cedistill.model.shapes import Shape, forward_flops, parameters, shape_of
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, train_data_of

_PASSAGE_TOKENS = 95  # of a pair of MS MARCO passages on average (measured on the training pairs)
_TOKENS_A_WORD = 1.3
_QUERY_TOKENS = 12
_SPECIAL_TOKENS = 3
_VALIDATION_DEPTH = 100
_FIRST_STAGE_DEPTH = 100
_ENCODER_TOKENS = 256
_BYTES_A_RESULT = 12  # a line of a compressed run
_TRAINING = 3  # a backward pass costs twice its forward pass


class Work(NamedTuple):
    """An amount of work: optimisation steps, pairs and tokens through the model, floating-point operations."""

    steps: int = 0
    pairs: float = 0
    tokens: float = 0
    flops: float = 0

    def plus(self, other: Work) -> Work:
        """Return the sum of two amounts."""
        steps, pairs, tokens, flops = (one + two for one, two in zip(self, other, strict=True))
        return Work(int(steps), pairs, tokens, flops)


class CellWork(NamedTuple):
    """The work of one cell by phase, and the bytes that it leaves: weights and runs."""

    training: Work
    validation: Work
    evaluation: Work
    weights: float
    runs: float


def cell_work(study: Study, cell: Cell) -> CellWork | None:
    """Return the most that a cell costs, None where the shape of its backbone is unknown.

    A pair of MS MARCO passages counts its mean length; of other collections the mean words of a document, where the
    benchmark gives them, and else the limit of document tokens. Lists count as full, candidates as all there.
    """
    shape = shape_of(cell.backbone)
    if shape is None:
        return None
    limits = study.training
    query_limit, document_limit = int(limits.get("query_tokens", 32)), int(limits.get("document_tokens", 256))
    training = validation = Work()
    if cell.objective != UNTRAINED:
        objective, data = bound(objective_of(study, cell), train_data_of(study, cell))
        query_limit, document_limit = objective.training.query_tokens, objective.training.document_tokens
        plan = schedule(objective, _group(cell.backbone, shape))
        pairs = plan.steps * plan.lists_per_step * objective.lists.size
        tokens = _pair_tokens(_trained_texts(data), None, query_limit, document_limit)
        training = _work(shape, pairs, tokens, _TRAINING)._replace(steps=plan.steps)
        times = plan.steps // min(objective.training.validate_every, max(1, -(-plan.steps // 4)))
        for one in study.validation:
            tokens = _pair_tokens(one.dataset, one.words, query_limit, document_limit)
            pairs = times * query_count(one.dataset) * _VALIDATION_DEPTH
            validation = validation.plus(_work(shape, pairs, tokens, 1))
    evaluation = Work()
    for one in study.evaluate:
        tokens = _pair_tokens(one.dataset, one.words, query_limit, document_limit)
        evaluation = evaluation.plus(_work(shape, _evaluated_pairs(one), tokens, 1))
    weights = 0 if cell.objective == UNTRAINED else 4 * parameters(shape)
    return CellWork(training, validation, evaluation, weights, _BYTES_A_RESULT * evaluation.pairs)


def first_stage_work(evaluations: Sequence[Evaluation]) -> Work:
    """Return the work of encoding each corpus once with the encoders that first stages name (BM25 takes no model)."""
    done: dict[tuple[str, str], Work] = {}
    for one in evaluations:
        if not is_retriever(one.candidates) or not is_public(one.dataset):
            continue
        model = parse_retriever(one.candidates)[1]
        shape = shape_of(model) if model else None
        if shape is not None:
            tokens = _pair_tokens(one.dataset, one.words, 0, _ENCODER_TOKENS)
            done[model, _corpus(one.dataset)] = _work(shape, _count(one.dataset, "docs"), tokens, 1)
    total = Work()
    for work in done.values():
        total = total.plus(work)
    return total


@lru_cache(maxsize=256)
def query_count(reference: str) -> int:
    """Return the number of queries of a labelled data set; of a public one from its metadata, nothing is fetched."""
    return _count(reference, "queries") if is_public(reference) else len(require_labels(reference))


def _evaluated_pairs(one: Evaluation) -> int:
    return query_count(one.dataset) * (one.depth or _FIRST_STAGE_DEPTH)


def _work(shape: Shape, pairs: float, tokens: float, passes: int) -> Work:
    return Work(0, pairs, pairs * tokens, passes * pairs * forward_flops(shape, tokens))


def _pair_tokens(reference: str, words: int | None, query_limit: int, document_limit: int) -> float:
    if reference.startswith("msmarco-passage"):
        return min(_PASSAGE_TOKENS, query_limit + document_limit)
    if words is None:
        return query_limit + document_limit
    return _SPECIAL_TOKENS + min(query_limit, _QUERY_TOKENS) + min(document_limit, _TOKENS_A_WORD * words)


def _trained_texts(data: TrainData) -> str:
    return data.dataset or ("msmarco-passage" if data.source else "")


def _group(backbone: str, shape: Shape) -> str:

    return group_of(backbone, SimpleNamespace(hidden_size=shape.width))


def _corpus(reference: str) -> str:
    from ir_datasets import docs_parent_id

    return str(docs_parent_id(reference.partition(":")[0]))


def _count(reference: str, part: str) -> int:
    from cedistill.data.public_files import load

    return int(load(reference.partition(":")[0]).metadata()[part]["count"])
