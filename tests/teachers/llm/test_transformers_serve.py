"""A server that is not ours: `transformers serve` with a tiny random model."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.teachers.llm.journal import open_journal
from cedistill.teachers.llm.models import open_model
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.server import Server
from cedistill.teachers.llm.teach import teach

pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def server(tiny_llm, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(tiny_llm), "--device", "cpu"]
    log = (tmp_path_factory.mktemp("serve") / "log").open("w")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    options = ["--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment) as process:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            assert process.poll() is None, Path(log.name).read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["listwise", "pointwise"])
def test_a_served_model_teaches_as_the_same_model_here(method, server, tiny, tiny_llm, settings, tmp_path):
    """It gives no log-probabilities: pointwise asks for grades. The answers are greedy, so they are the same."""
    collection, candidates = open_collection(str(tiny)), read_run(tiny / "candidates.trec")
    candidates = {query_id: candidates[query_id] for query_id in ("q0", "q1")}
    wanted = settings(method=method, depth=4, answer_tokens=6, workers=1)

    def answers(name):
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        return {json.dumps(one["messages"]): one["answer"] for one in lines if "logprobs" not in one["parameters"]}

    model = Server(str(tiny_llm), server, None, 60.0)
    with open_journal(tmp_path / "served.jsonl") as journal:
        served = teach(model, collection, candidates, wanted, journal, Budget())
    wanted = settings(method="grade" if method == "pointwise" else method, depth=4, answer_tokens=6, workers=1)
    with open_journal(tmp_path / "local.jsonl") as journal:
        local = teach(open_model(str(tiny_llm), wanted), collection, candidates, wanted, journal, Budget())
    assert served.run == local.run and served.account["answer"] == local.account["answer"]
    assert answers("served.jsonl") == answers("local.jsonl")
    assert len(answers("local.jsonl")) == (2 if method == "listwise" else 8)
