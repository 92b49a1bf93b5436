"""`teach` as a user runs it: a process of its own, against a real server."""

import json
import signal
import subprocess
import sys
import time

import pytest
from servers import Chat, completion, highest_title_first, send, serving

from cedistill.cli import main
from cedistill.data.runs import read_run

KEY = "sk-very-secret-0123456789"
MODEL = ["--teacher", "llm:m", "--window", "4", "--stride", "2"]


@pytest.fixture
def command(tiny, tmp_path):
    """The command line of `teach` over ``tiny`` into ``name``, for a server's URL."""

    def made(chat, *options, name="out/taught.trec"):
        arguments = ["--dataset", tiny, "--candidates", tiny / "candidates.trec", "--output", tmp_path / name]
        arguments += ["--base-url", chat.url, *options]
        return [sys.executable, "-m", "cedistill", "teach", *MODEL, *map(str, arguments)]

    return made


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process, which saves the imports of most tests; returns what it printed."""

    def ran(command, status=0, **variables):
        for name, value in {"OPENAI_API_KEY": KEY, **variables}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["cedistill", *command[3:]])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert end.value.code == status, printed.err
        assert KEY not in printed.err + printed.out
        return printed

    return ran


def _files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_run_its_journal_and_its_report_and_the_key_nowhere(run, command, tmp_path):
    """The server repeats the key wherever it can: in an answer, and in a failure."""

    def fail_once(handler, request, before):
        if before or len(chat.requests) != 1:
            return False
        send(handler, 500, f'{{"error": {{"message": "bad day for {KEY}"}}}}'.encode())
        return True

    with serving(Chat(lambda request: f"{highest_title_first(request)} {KEY}", fail_once)) as chat:
        done = run([*command(chat, "--json"), "--price-in", "2", "--price-out", "10"])
    out = tmp_path / "out"
    assert _files(out) == ["taught.trec", "taught.trec.journal.jsonl", "taught.trec.report.json"]
    assert chat.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    report = json.loads(done.out)
    assert report == json.loads((out / "taught.trec.report.json").read_text())
    account = report["teachers"][0]
    assert (account["requests"], account["retries"], account["answers"], account["malformed"]) == (25, 1, 24, 24)
    assert account["cost"] == pytest.approx(24 * (100 * 2 + 10 * 10) / 1e6)
    assert list(read_run(out / "taught.trec")["q0"])[:2] == ["d9", "d8"]


def test_a_refused_key_is_told_without_it(run, command, tmp_path):
    def refuse(handler, *_):
        send(handler, 401, f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}'.encode())
        return True

    with serving(Chat(highest_title_first, refuse)) as chat:
        done = run(command(chat), status=1)
    assert "check the key" in done.err and _files(tmp_path / "out") == []


def test_kill_and_go_on(run, command, tmp_path):
    """Killed with half of the answers, some under way; what is in the journal is not asked again."""

    def slower(*_):
        time.sleep(0.05)
        return False

    with serving(Chat(highest_title_first)) as chat:
        run(command(chat, name="whole/taught.trec"))
    journal = tmp_path / "out" / "taught.trec.journal.jsonl"
    with serving(Chat(highest_title_first, slower)) as chat:
        with subprocess.Popen(command(chat, "--workers", "2"), stderr=subprocess.DEVNULL) as process:
            while not journal.exists() or journal.read_bytes().count(b"\n") < 8:
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
        assert _files(tmp_path / "out") == ["taught.trec.journal.jsonl"]
        with journal.open("ab") as stream:
            stream.write(b'{"key": "torn')
        known = {json.loads(line)["key"] for line in journal.read_bytes().splitlines()[:-1]}
        before = len(chat.requests)
        time.sleep(0.2)  # the server may still answer what nobody waits for
        done = run(command(chat, "--json"))
    account = json.loads(done.out)["teachers"][0]
    assert account["from_journal"] == len(known) >= 8 and len(chat.requests) - before == 24 - len(known)
    keys = [json.loads(line)["key"] for line in journal.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 24
    assert (tmp_path / "out" / "taught.trec").read_bytes() == (tmp_path / "whole" / "taught.trec").read_bytes()

    (tmp_path / "out" / "taught.trec").unlink()
    run(command(chat, "--offline"))  # the server is gone: the journal alone
    assert (tmp_path / "out" / "taught.trec").read_bytes() == (tmp_path / "whole" / "taught.trec").read_bytes()


def test_ctrl_c_waits_for_what_is_under_way_and_keeps_it(run, command, tmp_path):
    def slow(*_):
        time.sleep(0.3)
        return False

    with serving(Chat(highest_title_first, slow)) as chat:
        line = command(chat, "--workers", "2")
        # A shell's background jobs, and what they start, ignore Ctrl-C.
        heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **heed) as process:
            while len(chat.requests) < 6:
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=60)[1]
    assert (
        process.returncode == 130 and "Traceback" not in told and told.splitlines()[-1].startswith("error: interrupted")
    )
    assert _files(tmp_path / "out") == ["taught.trec.journal.jsonl"]
    keys = (tmp_path / "out" / "taught.trec.journal.jsonl").read_text().splitlines()
    assert len(keys) == len(chat.requests) == sum(chat.answered.values()) < 24


def test_a_dry_run_asks_and_writes_nothing_and_knows_the_journal(run, command, tmp_path):
    with serving(Chat(highest_title_first)) as chat:
        line = [*command(chat, "--json"), "--price-in", "1000000", "--price-out", "0"]
        first = json.loads(run([*line, "--dry-run"]).out)["teachers"][0]
        assert chat.requests == [] and not (tmp_path / "out").exists()
        run([*line, "--max-requests", "10"], status=1)
        second = json.loads(run([*line, "--dry-run"]).out)["teachers"][0]
        assert len(chat.requests) == 10
    assert first["requests"] == 24 and first["from_journal"] == 0 and first["cost"] == first["prompt_tokens"] > 24 * 50
    assert second["requests"] + second["from_journal"] == 24 and second["from_journal"] == 10


def test_a_spent_budget_is_a_failure_that_says_so(run, command, tmp_path):
    with serving(Chat(highest_title_first)) as chat:
        done = run(command(chat, "--max-requests", "3"), status=1)
    assert done.err.splitlines()[-1].startswith("error: stopped after 3 requests, as --max-requests says")
    assert len(chat.requests) == 3 and _files(tmp_path / "out") == ["taught.trec.journal.jsonl"]


def test_shuffles_leave_their_confidence(run, command, tmp_path):
    with serving(Chat(highest_title_first)) as chat:
        run(command(chat, "--shuffle", "2", "--window", "20"))
    rows = (tmp_path / "out" / "taught.trec.confidence.tsv").read_text().splitlines()
    assert rows == ["query-id\tkendall-tau\tweight", *(f"q{i}\t1.000000\t1.000000" for i in range(6))]


def test_parameters_of_the_request_key_and_journal(run, command, tmp_path):
    with serving(Chat(highest_title_first)) as chat:
        options = ["--set", "max_tokens=null", "--set", "max_completion_tokens=99", "--set", "reasoning_effort=low"]
        options += ["--key-env", "MINE", "--journal", tmp_path / "elsewhere.jsonl"]
        run(command(chat, *options), MINE="another-key")
    extra = {name: value for name, value in chat.requests[0].items() if name not in ("messages", "model")}
    assert extra == {"temperature": 0.0, "max_completion_tokens": 99, "reasoning_effort": "low"}
    assert len((tmp_path / "elsewhere.jsonl").read_text().splitlines()) == 24
    assert _files(tmp_path / "out") == ["taught.trec", "taught.trec.report.json"]
    assert chat.headers[0]["Authorization"] == "Bearer another-key" and chat.requests[0]["model"] == "m"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "listwize"], "unknown method 'listwize'; did you mean 'listwise'?"),
        (["--stride", "9"], "set --window and --stride"),
        (["--method", "pairwise", "--shuffle", "2"], "expected --shuffle with --method listwise"),
        (["--prompt", "nowhere.toml"], "nowhere.toml: expected a TOML file"),
        (["--base-url", "host:80"], "expected --base-url as http(s)://HOST/v1"),
        (["--key-env", "NOT_SET_AT_ALL"], "environment variable NOT_SET_AT_ALL"),
        (["--set", "model=x"], "expected --set for a parameter of the answer"),
        (["--combine", "mean"], "expected several --teacher to combine, found one"),
        (["--teacher", "llm:other", "--combine", "sum"], "unknown combination 'sum'"),
    ],
)
def test_bad_input_is_one_line_and_asks_and_writes_nothing(run, options, message, command, tmp_path):
    with serving(Chat(lambda _: completion("x"))) as chat:
        done = run(command(chat, *options), status=2)
    assert message in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1
    assert chat.requests == []
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_server_is_told_how(run, tiny, tmp_path):
    line = [sys.executable, "-m", "cedistill", "teach", "--teacher", "llm:gpt-x", "--dataset", tiny, "--candidates"]
    done = run([*map(str, line), str(tiny / "candidates.trec"), "--output", str(tmp_path / "o")], status=2)
    assert "expected --base-url for a model behind a server" in done.err


def test_several_teachers_are_kept_beside_their_combination(run, command, tiny, tmp_path):
    with serving(Chat(highest_title_first)) as chat:
        done = run(command(chat, "--teacher", f"run:{tiny / 'candidates.trec'}", "--combine", "rrf", "--json"))
    report = json.loads(done.out)
    members = tmp_path / "out" / "taught.trec.members"
    assert _files(members) == ["llm-m.trec", "run-candidates.trec"] and report["combine"] == "rrf"
    assert [one["run"] for one in report["teachers"]] == [str(members / name) for name in _files(members)]
    assert read_run(members / "run-candidates.trec") == read_run(tiny / "candidates.trec")
    # d0 is first of one and seventh of the other, as in the ranking of `test_kill_and_go_on`.
    places = [sorted(scores, key=lambda one, scores=scores: -scores[one]).index("d0") + 1
              for scores in (read_run(members / name)["q0"] for name in _files(members))]  # fmt: skip
    combined = read_run(tmp_path / "out" / "taught.trec")["q0"]["d0"]
    assert combined == pytest.approx(sum(1 / (60 + place) for place in places) / 2, rel=1e-5)
