"""A server that speaks OpenAI's chat protocol, asked once; what came back is read with suspicion."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from cedistill.errors import InputError, shown
from cedistill.teachers.llm.questions import Completion, Question, Refused, TryAgain, prompt_tokens

KEY_VARIABLE = "OPENAI_API_KEY"
LONGEST_PAUSE = 300.0
"""Seconds of a server's Retry-After that are kept to; who asks for more is asked again then."""

_PASSING = frozenset({408, 409, 425, 429})
_SHORTEST_KEY = 8


class Server:
    """A chat model behind a URL. The key is held here alone; it is taken out of whatever the server says."""

    def __init__(self, name: str, base_url: str, key: str | None, timeout: float) -> None:
        """Take the model's name there, the URL up to /v1, the key if it wants one, seconds for a whole answer."""
        check_url(base_url)
        try:
            import openai
        except ImportError:
            raise InputError(
                "expected the openai client for an LLM behind a URL, found none; pip install 'cedistill[llm]'"
            ) from None
        self.name, self._key, self._timeout = name, key or "", timeout
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",  # the client insists on one
            base_url=base_url,
            max_retries=0,  # attempts are counted and paced here
            timeout=timeout,
        )
        self._too_late, self._status_error = openai.APITimeoutError, openai.APIStatusError
        self._failures = (openai.APIConnectionError, OSError)

    async def answer(self, question: Question) -> Completion:
        """Ask once. The time allowed is for the whole answer: one that trickles in counts as none."""
        try:
            async with asyncio.timeout(self._timeout):
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self.name,
                    messages=question.messages,  # type: ignore[arg-type]
                    extra_body=dict(question.parameters),
                )
        except (TimeoutError, self._too_late):
            raise TryAgain(f"no whole answer within {self._timeout:g} s") from None
        except self._status_error as error:
            raise failure(
                error.response.status_code, error.response.headers, self._without_key(error.response.content)
            ) from None
        except self._failures as error:
            cause = str(error.__cause__ or error) or type(error).__name__
            raise TryAgain(f"no connection ({self._without_key(cause.encode())})", unreachable=True) from None
        return read_completion(self._without_key(raw.http_response.content), prompt_tokens(question.messages))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _without_key(self, content: bytes) -> str:
        text = content.decode("utf-8", "replace")
        return text.replace(self._key, "…") if len(self._key) >= _SHORTEST_KEY else text


def key_from(variable: str | None) -> str | None:
    """Return the key from an environment variable, None where it is unset.

    Raises:
        InputError: a variable was named and is not set.
    """
    key = os.environ.get(variable or KEY_VARIABLE, "").strip()
    if variable and not key:
        raise InputError(f"expected a key in the environment variable {variable}, found it unset; set it")
    return key or None


def failure(status: int, headers: Mapping[str, str], body: str) -> TryAgain | Refused:
    """Return what an HTTP status other than success means: worth another attempt, or refused for good."""
    said = _message(body)
    if status in _PASSING or status >= 500:
        return TryAgain(f"status {status}{said}", wait=retry_after(headers, time.time()))
    if status in (401, 403):  # what a server says here may repeat parts of the key
        return Refused(f"expected a key that the server accepts, found it refused (status {status}); check the key")
    return Refused(f"expected an answer, found the request refused (status {status}{said})", status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asks to wait: ``retry-after-ms``, or ``retry-after`` as seconds or a date."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif text is not None:
            seconds = float(text) if text.strip()[:1].isdigit() else parsedate_to_datetime(text).timestamp() - now
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE) if math.isfinite(seconds) else None


def read_completion(body: str, asked: int) -> Completion:
    """Return the answer that a server's JSON holds.

    Args:
        body: what came.
        asked: tokens of the prompt, for a server that does not count them.

    Raises:
        TryAgain: it is no JSON, or not a chat completion.
    """
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        text = _text(choice["message"].get("content"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise TryAgain(f"no chat completion: {shown(body.strip())}") from None
    usage = content.get("usage") or {}
    return Completion(
        text,
        likeliest_tokens(choice.get("logprobs")),
        _count(usage, "prompt_tokens", asked),
        _count(usage, "completion_tokens", -(-len(text.encode("utf-8", "replace")) // 4)),
        choice.get("finish_reason") == "length",
    )


def likeliest_tokens(logprobs: Any) -> list[dict[str, float]] | None:
    """Return for each token of an answer the likeliest ones with their log-probabilities; None where not given."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    tokens: list[dict[str, float]] = []
    for one in content:
        likeliest = one.get("top_logprobs") if isinstance(one, dict) else None
        found: dict[str, float] = {}
        for entry in likeliest if isinstance(likeliest, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("logprob"), int | float):
                found.setdefault(str(entry.get("token")), float(entry["logprob"]))
        tokens.append(found)
    return tokens if any(tokens) else None


def _text(content: Any) -> str:
    """Return the text of a message, which may be in parts. Raises TypeError for anything else."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    if content is not None and not isinstance(content, str):
        raise TypeError
    return content or ""


def _count(usage: Any, name: str, otherwise: int) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else otherwise


def _message(body: str) -> str:
    """Return the server's words, short, with a colon before them, or nothing."""
    try:
        error = json.loads(body).get("error")
        message = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        message = body
    message = " ".join(str(message or "").split())
    return f": {shown(message, 200)}" if message else ""


def check_url(url: str) -> None:
    """Refuse what is no URL of a server, or holds a password. Raises InputError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"expected --base-url as http(s)://HOST/v1, found {shown(url)}; give the URL up to /v1")
    if parts.username or parts.password:
        raise InputError("expected --base-url without a user and password, found them in it; keys come from variables")
