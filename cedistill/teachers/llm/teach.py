"""One LLM teacher over all queries of a run: from candidates to scores, confidence and an account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from cedistill.data.collections import Collection
from cedistill.data.runs import Run
from cedistill.data.texts import look_up
from cedistill.teachers.llm import pairwise, pointwise
from cedistill.teachers.llm.asking import Asker
from cedistill.teachers.llm.journal import Journal
from cedistill.teachers.llm.listwise import Listwise, question_count, rank
from cedistill.teachers.llm.order import agreement, mean_scores, shuffled
from cedistill.teachers.llm.pace import Budget, Pace
from cedistill.teachers.llm.prompts import PREFERENCE, RANKING, Template
from cedistill.teachers.llm.questions import Ask, BudgetSpent, Faults, Model, Question
from cedistill.teachers.llm.settings import Settings, request_parameters, templates

GRACE_SECONDS = 5.0
"""How long requests under way may still take after Ctrl-C or a failure."""

Progress = Callable[[int, int, str], None]
Score = Callable[[tuple[str, str], Sequence[str], Mapping[str, str], Ask, Faults], Awaitable[dict[str, float]]]


@dataclass
class Taught:
    """What an LLM teacher gave: its run, per query how far its orders agree (Kendall's tau), and the account."""

    run: Run
    agreement: dict[str, float | None] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)


def in_order(scores: Mapping[str, float]) -> list[str]:
    """Return a query's candidates best first, those of equal score in the run's own order.

    Other than in ``ranked``, which settles equal scores by id as trec_eval does: what is shown to a model is the order
    that the first stage gave.
    """
    values = np.fromiter(scores.values(), np.float64, len(scores)).astype(np.float32)
    names = list(scores)
    return [names[place] for place in np.argsort(-values, kind="stable")]


def teach(
    model: Model,
    collection: Collection,
    candidates: Run,
    settings: Settings,
    journal: Journal,
    budget: Budget,
    progress: Progress | None = None,
) -> Taught:
    """Ask a model about the candidates of every query.

    Args:
        model: what answers.
        collection: where the texts are.
        candidates: query id → document id → score of the first stage.
        settings: what is asked, and how fast.
        journal: answers of before; new ones are added as they come.
        budget: what may be spent.
        progress: called with answers, answers in all, and rate and spend in words.

    Returns:
        The run. Listwise: scores by rank among all candidates, n for the first to 1 for the last; those below the
        depth follow in their order. Pointwise and pairwise: candidates that were asked about and whose answers are
        clear.

    Raises:
        TeacherStopped: the model refused or failed, or the budget is spent; the journal has what was answered.
        InputError: settings that do not fit together.
    """
    return asyncio.run(_teach(model, collection, candidates, settings, journal, budget, progress))


async def _teach(
    model: Model,
    collection: Collection,
    candidates: Run,
    settings: Settings,
    journal: Journal,
    budget: Budget,
    progress: Progress | None,
) -> Taught:
    tried = templates(settings)
    total = expected_questions(settings, tried[0], candidates)
    report = None if progress is None else lambda done, words: progress(done, max(total, done), words)
    pace = Pace(settings.requests_per_minute, settings.tokens_per_minute)
    asker = Asker(model, journal, budget, pace, settings.limits, settings.prices, report)
    faults = Faults()
    taught = Taught({query_id: {} for query_id in candidates})
    try:
        template = await _template(tried, collection, candidates, settings, asker)
        one = partial(_one_query, _scorer(settings, template), collection, candidates, settings, asker, faults, taught)
        await _each(one, list(candidates), settings.limits.workers)
    except BaseException as error:
        await asker.drain(None if isinstance(error, BudgetSpent) else GRACE_SECONDS)
        raise
    finally:
        await model.close()
    taught.agreement = {one: taught.agreement[one] for one in candidates if one in taught.agreement}
    taught.account = _account(model, settings, template, asker, faults, taught)
    return taught


async def _each(work: Callable[[str], Awaitable[None]], queries: Sequence[str], workers: int) -> None:
    """Work on so many queries at once, in their order; the first failure ends all."""
    left = iter(queries)

    async def worker() -> None:
        for query_id in left:
            await work(query_id)

    tasks = [asyncio.create_task(worker()) for _ in range(min(workers, len(queries)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one_query(
    score: Score,
    collection: Collection,
    candidates: Run,
    settings: Settings,
    asker: Asker,
    faults: Faults,
    taught: Taught,
    query_id: str,
) -> None:
    documents = in_order(candidates[query_id])
    top, rest = documents[: settings.candidates], documents[settings.candidates :]
    texts = look_up(collection.documents, top)
    query = (query_id, collection.queries[query_id])
    if not settings.shuffle:
        scores = await score(query, top, texts, asker.ask, faults)
    else:
        orders = [shuffled(top, query_id, number, settings.seed) for number in range(settings.shuffle)]
        rankings = await asyncio.gather(*(score(query, order, texts, asker.ask, faults) for order in orders))
        scores = mean_scores([list(ranking) for ranking in rankings])
        taught.agreement[query_id] = agreement([list(ranking) for ranking in rankings])
    if settings.method == "listwise":
        scores = {document: value + len(rest) for document, value in scores.items()}
        scores |= {document: float(len(rest) - place) for place, document in enumerate(rest)}
    taught.run[query_id] = scores


def _scorer(settings: Settings, template: Template) -> Score:
    parameters, words = request_parameters(settings, template.answer), settings.passage_words
    if template.answer == PREFERENCE:
        return partial(pairwise.score, pairwise.Pairwise(template, parameters, words))
    if template.answer != RANKING:
        return partial(pointwise.score, pointwise.Pointwise(template, parameters, words))
    how = _listwise(settings, template)

    async def by_rank(
        query: tuple[str, str], documents: Sequence[str], texts: Mapping[str, str], ask: Ask, faults: Faults
    ) -> dict[str, float]:
        ranking = await rank(how, query, documents, texts, ask, faults)
        return {document: float(len(ranking) - place) for place, document in enumerate(ranking)}

    return by_rank


def _listwise(settings: Settings, template: Template) -> Listwise:
    parameters = request_parameters(settings, template.answer)
    return Listwise(template, parameters, settings.window, settings.stride, settings.passes, settings.passage_words)


async def _template(
    tried: Sequence[Template], collection: Collection, candidates: Run, settings: Settings, asker: Asker
) -> Template:
    """Return the template to use: of two, the first if the model gives log-probabilities to its first question."""
    first = next(((query_id, in_order(scores)[0]) for query_id, scores in candidates.items() if scores), None)
    if len(tried) == 1 or first is None:
        return tried[0]
    query_id, document = first
    how = pointwise.Pointwise(tried[0], request_parameters(settings, tried[0].answer), settings.passage_words)
    text = look_up(collection.documents, [document])[document]
    question: Question = pointwise.question(how, (query_id, collection.queries[query_id]), text)
    completion = await asker.ask(replace(question, may_be_refused=True))
    return tried[0] if completion.tokens else tried[1]


def expected_questions(settings: Settings, template: Template, candidates: Run) -> int:
    """Return how many questions the candidates of all queries take."""
    depths = [min(len(scores), settings.candidates) for scores in candidates.values()]
    if template.answer == PREFERENCE:
        return sum(depth * (depth - 1) for depth in depths)
    if template.answer != RANKING:
        return sum(depths)
    how = _listwise(settings, template)
    return sum(question_count(how, depth) for depth in depths) * max(settings.shuffle, 1)


def _account(
    model: Model, settings: Settings, template: Template, asker: Asker, faults: Faults, taught: Taught
) -> dict[str, Any]:
    known = [value for value in taught.agreement.values() if value is not None]
    answers = asker.in_all.answers
    return {
        "model": model.name,
        "method": settings.method,
        "answer": template.answer,
        "queries": sum(bool(scores) for scores in taught.run.values()),
        "documents": sum(len(scores) for scores in taught.run.values()),
        "answers": answers,
        "from_journal": answers - asker.now.answers,
        "requests": asker.requests,
        "retries": asker.retries,
        "prompt_tokens": asker.now.prompt_tokens,
        "completion_tokens": asker.now.completion_tokens,
        "cost": settings.prices.cost(asker.now),
        "malformed": faults.malformed,
        "malformed_share": faults.malformed / faults.read if faults.read else 0.0,
        "faults": dict(sorted(faults.kinds.items())),
        "agreement": sum(known) / len(known) if known else None,
    }
