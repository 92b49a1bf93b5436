"""What an LLM's answer means: a ranking, a grade, a preference or the odds of yes; whatever it says, never an error.

In every kind, what stands before ``</think>`` is reasoning and not part of the answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MISSING, REPEATED, OUT_OF_RANGE, PROSE, UNCLEAR = "missing", "repeated", "out-of-range", "prose", "unclear"

_BRACKETS = re.compile(r"\[\s*([0-9]+(?:\s*[,;>]\s*[0-9]+)*)\s*\]")
_CHAIN = re.compile(r"(?<![0-9])(?:[A-Za-z]{1,20}\s*)?[0-9]++(?:\s*>\s*(?:[A-Za-z]{1,20}\s*)?[0-9]++)+")
_NUMBERS_ALONE = re.compile(r"[0-9]+(?:[\s,;]+[0-9]+)*[.,;]?")
_GRADE_WORD = re.compile(
    r"\b(?:grade|score|rating|relevance|answer)\b\W{0,8}(?:is\b\W{0,8})?([0-3])(?![0-9.]*[0-9])", re.I
)
_DIGIT = re.compile(r"(?<![0-9.,/–-])[0-3](?![0-9]|\s*[–-]\s*[0-9]|\s*to\s+[0-9]|[.,][0-9])")
_LETTER = re.compile(r"\b([AB])\b")


@dataclass(frozen=True)
class Ranking:
    """A permutation of the places shown, best first and counted from 0, and what was wrong with the answer."""

    order: tuple[int, ...]
    faults: tuple[str, ...] = ()


def parse_ranking(answer: str, count: int) -> Ranking:
    """Return the ranking that an answer means, for passages numbered 1 to ``count``.

    The rule:

    1. Numbers in square brackets count, in their order; other numbers then do not.
    2. Without brackets, numbers joined by ``>`` count (a word may stand before each), or all of an answer that is
       nothing but numbers with commas or white space between.
    3. A number out of range is dropped; of a number named twice the first place counts.
    4. Passages that were not named follow in the order in which they were shown.

    Faults: ``missing`` (not all named), ``repeated``, ``out-of-range``, ``prose`` (anything but numbers, brackets,
    separators and white space); an answer without faults is a permutation in the form that was asked for.
    """
    text = _without_reasoning(answer).strip()
    numbers, rest = _numbers(text)
    wanted = [number for number in numbers if 1 <= number <= count]
    named = list(dict.fromkeys(wanted))
    seen = set(named)
    faults = {
        MISSING: len(named) < count,
        REPEATED: len(named) < len(wanted),
        OUT_OF_RANGE: len(wanted) < len(numbers),
        PROSE: bool(rest.strip(" \t\r\n>,;.")),
    }
    order = [number - 1 for number in named] + [place for place in range(count) if place + 1 not in seen]
    return Ranking(tuple(order), tuple(fault for fault, found in faults.items() if found))


def parse_grade(answer: str) -> tuple[int | None, tuple[str, ...]]:
    """Return the grade, 0 to 3, that an answer means, or None, and what was wrong with it.

    The last number after a word such as "grade" or "score" counts; else the one digit 0 to 3 that stands alone (not
    within a larger number, a decimal or a range). Two different ones are ``unclear``, none is ``missing``.
    """
    text = _without_reasoning(answer).strip()
    if text.rstrip(".") in ("0", "1", "2", "3"):
        return int(text[0]), ()
    called = _GRADE_WORD.findall(text)
    if called:
        return int(called[-1]), (PROSE,)
    alone = set(_DIGIT.findall(text))
    if len(alone) == 1:
        return int(alone.pop()), (PROSE,)
    return None, (UNCLEAR if alone else MISSING,)


def parse_preference(answer: str) -> tuple[str | None, tuple[str, ...]]:
    """Return ``A`` or ``B``, or None where the answer names neither or both, and what was wrong with it."""
    text = _without_reasoning(answer).strip()
    named = set(_LETTER.findall(text))
    if len(named) != 1:
        return None, (UNCLEAR if named else MISSING,)
    return named.pop(), () if len(text.strip("[](). \"'*")) == 1 else (PROSE,)


def yes_log_odds(tokens: Sequence[Mapping[str, float]]) -> float | None:
    """Return ln p(yes) - ln p(no) of the first token of an answer that is likely to be either.

    Args:
        tokens: for each token of the answer, the likeliest tokens there with their natural log-probabilities. Case and
            white space around a token do not matter; probabilities of the forms of a word are added up. A word that is
            not among them counts as the least likely one that is: its probability is no higher.

    Returns:
        The log odds, or None where neither word is among the likeliest.
    """
    for likeliest in tokens:
        found = {"yes": 0.0, "no": 0.0}
        for token, value in likeliest.items():
            word = token.strip(" \t\r\n▁Ġ\"'*.,").lower()
            if word in found and value == value:
                found[word] += math.exp(min(value, 0.0))
        if any(found.values()):
            least = min(value for value in likeliest.values() if value == value)
            yes, no = (math.log(one) if one > 0 else min(least, 0.0) for one in (found["yes"], found["no"]))
            odds = yes - no
            return odds if math.isfinite(odds) else None
    return None


def _numbers(text: str) -> tuple[list[int], str]:
    """Return the numbers that count, in their order, and what else the text holds."""
    for pattern in (_BRACKETS, _CHAIN):
        parts = pattern.findall(text)
        if parts:
            return [_number(one) for part in parts for one in re.findall("[0-9]+", part)], pattern.sub(" ", text)
    if _NUMBERS_ALONE.fullmatch(text):
        return [_number(one) for one in re.findall("[0-9]+", text)], ""
    return [], text


def _number(digits: str) -> int:
    return int(digits[:9])  # Python refuses to read numbers of thousands of digits; nine are out of range anyway


def _without_reasoning(answer: str) -> str:
    before, closed, after = answer.rpartition("</think>")
    if closed:
        return after
    return "" if before == "" and answer.lstrip().startswith("<think>") else answer
