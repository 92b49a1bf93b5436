"""Teacher signals: `teach`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cedistill.commands.options import AsJson, Dataset, Precision, print_json

_LLM = "LLM teachers"
_SPEND = "LLM teachers: pace and spend"


def _llm(help: str, **limits: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=_LLM, **limits)


def _spend(help: str, **limits: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=_SPEND, **limits)


def teach(
    teacher: Annotated[
        list[str], typer.Option(help="bm25, bi-encoder:M, cross-encoder:M, llm:M or run:FILE; may be given again.")
    ],
    dataset: Dataset,
    candidates: Annotated[str, typer.Option(help="Run to score, or first stage: bm25, bi-encoder:M, sparse:M.")],
    output: Annotated[Path, typer.Option(help="Run to write; a name that ends in .gz is compressed.")],
    combine: Annotated[
        str | None, typer.Option(help="Several teachers: mean (default), zscore, rrf or agreement.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Candidates of a query that are scored; LLMs: 100, pairwise 10.")
    ] = None,
    precision: Precision = "auto",
    base_url: Annotated[str | None, _llm("Server of llm:M, up to /v1; without it M is a local model.")] = None,
    key_env: Annotated[str | None, _llm("Environment variable with the key, if not OPENAI_API_KEY.")] = None,
    method: Annotated[str, _llm("listwise, pointwise (yes-no where possible, else grade) or pairwise.")] = "listwise",
    prompt: Annotated[Path | None, _llm("Prompt template (TOML) in place of the shipped one.")] = None,
    window: Annotated[int, _llm("Listwise: passages shown at once.", min=2)] = 20,
    stride: Annotated[int, _llm("Listwise: places from one window to the next.", min=1)] = 10,
    passes: Annotated[int, _llm("Listwise: times over the candidates.", min=1)] = 1,
    passage_words: Annotated[int, _llm("Words of a passage that are shown.", min=1)] = 300,
    shuffle: Annotated[int, _llm("Listwise: rank so many shuffled orders; the mean rank counts.", min=0)] = 0,
    seed: Annotated[int, _llm("Of the shuffled orders.", min=0)] = 12,
    temperature: Annotated[float, _llm("Sampling temperature.", min=0.0)] = 0.0,
    answer_tokens: Annotated[int | None, _llm("Longest answer; more for models that reason.", min=1)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE of the request in place of ours; null leaves it out.", rich_help_panel=_LLM
        ),
    ] = None,
    journal: Annotated[Path | None, _llm("Journal of answers; by default OUTPUT.journal.jsonl.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Journal only.", rich_help_panel=_LLM)] = False,
    workers: Annotated[int, _spend("Requests under way at once.", min=1)] = 8,
    attempts: Annotated[int, _spend("Times that a question is asked before giving up.", min=1)] = 8,
    timeout: Annotated[float, _spend("Seconds for a whole answer.", min=0.01)] = 120.0,
    requests_per_minute: Annotated[float | None, _spend("Requests started in a minute.", min=0.001)] = None,
    tokens_per_minute: Annotated[float | None, _spend("Tokens of prompts and answers in a minute.", min=1)] = None,
    max_requests: Annotated[int | None, _spend("Stop after so many requests.", min=0)] = None,
    max_tokens: Annotated[int | None, _spend("Stop before so many tokens are spent.", min=0)] = None,
    price_in: Annotated[float | None, _spend("Price of a million prompt tokens.", min=0.0)] = None,
    price_out: Annotated[float | None, _spend("Price of a million answer tokens.", min=0.0)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what LLMs would be asked and cost.", rich_help_panel=_SPEND)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make teacher signals for the candidates of queries."""
    from cedistill.teachers.llm.asking import Limits
    from cedistill.teachers.llm.questions import Prices
    from cedistill.teachers.llm.settings import Settings, parse_parameters
    from cedistill.teachers.teach import Wanted, check, estimate
    from cedistill.teachers.teach import teach as run

    settings = Settings(
        method=method,
        prompt=prompt,
        depth=depth,
        window=window,
        stride=stride,
        passes=passes,
        passage_words=passage_words,
        shuffle=shuffle,
        seed=seed,
        temperature=temperature,
        answer_tokens=answer_tokens,
        parameters=parse_parameters(set_ or []),
        base_url=base_url,
        key_env=key_env,
        timeout=timeout,
        limits=Limits(workers, attempts),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        prices=Prices(price_in, price_out),
        offline=offline,
    )
    wanted = Wanted(teacher, combine, depth, precision, settings, journal, max_requests, max_tokens)
    check(wanted, output)
    collection, scores = _candidates(dataset, candidates, depth)
    if dry_run:
        report = estimate(wanted, collection, scores, output)
    else:
        from cedistill.console import phases

        with phases() as phase:
            report = run(wanted, collection, scores, output, phase)
    if as_json:
        print_json(report)
        return
    for one in report["teachers"]:
        for line in _told(one, dry_run):
            typer.echo(line, err=not dry_run)
    if not dry_run:
        typer.echo(str(output), err=True)


def _candidates(dataset: str, candidates: str, depth: int | None) -> tuple[Any, Any]:
    from cedistill.data.collections import check_texts, open_collection
    from cedistill.data.references import is_retriever, run_path
    from cedistill.data.runs import read_run

    if is_retriever(candidates):
        from cedistill.evaluation.first_stage import candidates_of

        collection = open_collection(dataset)
        return collection, candidates_of(collection, candidates, depth)
    path = run_path(candidates)
    run = read_run(path)
    collection = open_collection(dataset)
    check_texts(run, path, collection)
    return collection, run


def _told(account: dict[str, Any], dry_run: bool) -> list[str]:
    """Return what an LLM teacher took and gave, in words; nothing for other teachers."""
    if "prompt_tokens" not in account:
        return []
    about = "about " if dry_run else ""
    cost = "" if account["cost"] is None else f", cost {about}{account['cost']:.4f}"
    tokens = f"{about}{account['prompt_tokens']} prompt and {about}{account['completion_tokens']} answer tokens"
    asked = f"{account['requests']} requests, {account['from_journal']} answers from the journal, {tokens}{cost}"
    lines = [f"{account['teacher']}: {asked}"]
    if not dry_run:
        kinds = ", ".join(f"{kind} {count}" for kind, count in account["faults"].items())
        share = f"{account['malformed']} ({account['malformed_share']:.1%})"
        lines.append(f"{account['teacher']}: malformed answers {share}{f': {kinds}' if kinds else ''}")
        if account["agreement"] is not None:
            lines.append(f"{account['teacher']}: agreement of its orders (Kendall's tau) {account['agreement']:.3f}")
    return lines
