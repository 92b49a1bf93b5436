import json

import pytest

from cedistill.teachers.llm.asking import Limits
from cedistill.teachers.llm.journal import open_journal
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.server import Server
from cedistill.teachers.llm.settings import Settings
from cedistill.teachers.llm.teach import teach


@pytest.fixture
def settings():
    """Settings with small windows and hardly a wait between attempts."""

    def made(**changes):
        limits = Limits(changes.pop("workers", 4), changes.pop("attempts", 8), first_wait=0.01)
        return Settings(**{"window": 4, "stride": 2, "limits": limits, **changes})

    return made


@pytest.fixture
def ask_server(tmp_path):
    """Teach from a server, with a journal in the test's folder; returns what was taught."""

    def asked(chat, collection, candidates, settings, budget=None, timeout=5.0, journal="journal.jsonl", key=None):
        model = Server("m", chat.url, key, timeout)
        with open_journal(tmp_path / journal) as answers:
            return teach(model, collection, candidates, settings, answers, budget or Budget())

    return asked


@pytest.fixture
def journal_keys(tmp_path):
    def keys(name="journal.jsonl"):
        return [json.loads(line)["key"] for line in (tmp_path / name).read_text().splitlines()]

    return keys
