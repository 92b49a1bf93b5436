"""The model behind ``llm:M``: a server, a local model, or what stands in for one when nothing is to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cedistill.errors import InputError, shown
from cedistill.teachers.llm.asking import answer_limit
from cedistill.teachers.llm.questions import Completion, Model, Question, Refused, prompt_tokens
from cedistill.teachers.llm.settings import Settings


@dataclass(frozen=True)
class Guess:
    """Answers nothing and tells what an answer would take: for an estimate before anything is asked."""

    name: str

    async def answer(self, question: Question) -> Completion:
        """Return an answer without a meaning, with the tokens that a real one is expected to take."""
        tokens = [{"yes": 0.0}] if question.parameters.get("logprobs") else None
        taken = min(question.expected_tokens, answer_limit(question))
        return Completion("?", tokens, prompt_tokens(question.messages), taken)

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True)
class Offline:
    """Answers nothing: for a run made from the journal alone."""

    name: str

    async def answer(self, question: Question) -> Completion:
        """Refuse."""
        raise Refused(
            f"expected every answer in the journal, found none for a question of query {shown(question.query_id)}; "
            "run without --offline to ask it"
        )

    async def close(self) -> None:
        """Nothing to let go of."""


def model_name(name: str, settings: Settings) -> str:
    """Return what stands for a model in the journal: its name at the server, or a local folder with its hash.

    Raises:
        InputError: without a URL, it is neither a folder with a model nor a Hub id; the URL is malformed, or the key's
            variable unset.
    """
    if settings.base_url is not None:
        from cedistill.teachers.llm.server import check_url, key_from

        check_url(settings.base_url)
        key_from(settings.key_env)
        return name
    folder = Path(name).expanduser()
    if folder.is_dir():
        from cedistill.data.digests import file_digest

        return f"{folder.resolve().name}@{file_digest(folder)[:16]}"
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"llm:{name}: expected --base-url for a model behind a server, or the folder or Hub id of a local one, "
            "found neither; for OpenAI it is --base-url https://api.openai.com/v1"
        )
    return name


def open_model(name: str, settings: Settings) -> Model:
    """Return what answers for ``llm:NAME``: nothing but the journal (offline), the server at the URL, or a local model.

    Raises:
        InputError: no such local model, a malformed URL, a key variable that is unset.
    """
    if settings.offline:
        return Offline(model_name(name, settings))
    if settings.base_url is not None:
        from cedistill.teachers.llm.server import Server, key_from

        key = key_from(settings.key_env)
        return Server(name, settings.base_url, key, settings.timeout)
    if settings.temperature:
        raise InputError(
            f"llm:{name}: expected --temperature 0 for a local model, found {settings.temperature:g}; "
            "it always takes the likeliest token"
        )
    from cedistill.teachers.llm.local import load_local

    return load_local(name, model_name(name, settings), settings.limits.workers)
