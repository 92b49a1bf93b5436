import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _run(*arguments, cwd=None, status=0):
    command = [sys.executable, "-m", "cedistill", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd or ROOT, timeout=200)
    assert done.returncode == status, done.stderr
    return done


def test_help_imports_nothing_heavy():
    code = """
import sys
sys.argv = ["cedistill", "--help"]
from cedistill.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
names = ["torch", "numba", "pandas", "transformers", "ranx", "datasets", "pyarrow", "numpy", "pydantic"]
heavy = [name for name in names if name in sys.modules]
assert not heavy, heavy
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", ["losses", "objectives", "backbones", "benchmarks", "sources", "studies"])
def test_ls_gives_names_and_one_line_each(kind):
    rows = json.loads(_run("ls", kind, "--json").stdout)[kind]
    lines = _run("ls", kind).stdout.splitlines()
    assert len(lines) == len(rows) and all(line.startswith(row["name"]) for line, row in zip(lines, rows, strict=True))
    known = {"losses": "margin-mse", "objectives": "distill-ranknet", "backbones": "minilm-l6", "studies": "trec-dl"}
    assert kind not in known or known[kind] in [row["name"] for row in rows]


def test_train_rerank_evaluate_and_metrics_agree(tiny, tiny_bert, tmp_path):
    common = ["--dataset", tiny, "--candidates", tiny / "candidates.trec"]
    model = tmp_path / "model"
    settings = ["--steps", 3, "--batch-size", 4, "--learning-rate", "1e-3", "--set", "training.precision=float32"]
    trained = _run(
        "train", "--backbone", tiny_bert, "--objective", "bce", *common, *settings, "--json", "--output", model
    )
    content = json.loads(trained.stdout)
    assert content["schedule"] == {"steps": 3, "warmup_steps": 0, "learning_rate": 1e-3, "lists_per_step": 4}
    assert "cedistill" in content["command"] or "__main__" in content["command"]

    _run("rerank", model, *common, "--depth", 5, "--output", tmp_path / "out.trec.gz")
    shown = _run("metrics", tmp_path / "out.trec.gz", "--dataset", tiny, "--measure", "ndcg@10", "--json")
    from_metrics = json.loads(shown.stdout)["runs"]["out"]
    assert set(from_metrics["per_query"]) == {f"q{i}" for i in range(6)}

    evaluated = _run("evaluate", model, *common, "--depth", 5, "--output", tmp_path / "ev", "--json")
    found = json.loads(evaluated.stdout)["datasets"]["tiny"]
    assert found["runs"]["reranked"]["measures"]["ndcg@10"] == pytest.approx(from_metrics["measures"]["ndcg@10"])
    assert found["first_stage"] == "candidates" and len(found["comparisons"]) == 2
    assert json.loads((tmp_path / "ev" / "metrics.json").read_text())["datasets"]["tiny"] == found
    from cedistill.data.runs import read_run

    assert read_run(tmp_path / "ev" / "runs" / "tiny.trec.gz") == read_run(tmp_path / "out.trec.gz")


def test_retrieve_writes_a_run_of_the_split(tiny, tmp_path):
    _run("retrieve", "--dataset", f"{tiny}:train", "--retriever", "bm25", "--depth", 7, "--output", tmp_path / "b.trec")
    from cedistill.data.runs import read_run

    run = read_run(tmp_path / "b.trec")
    # Only documents d, d + 6, ... tell of the topic that q<d> asks for.
    assert list(run) == ["q0", "q1", "q2", "q3"] and set(run["q2"]) == {"d2", "d8", "d14", "d20", "d26"}


@pytest.mark.parametrize(
    ("file", "content", "arguments", "message"),
    [
        ("run.trec", "q0 Q0 d0 1 1.0\n", ["metrics", "run.trec", "--dataset", "."], "run.trec:1: expected six columns"),
        ("run.trec", "q0 Q0 d0 1 nan x\n", ["metrics", "run.trec", "--dataset", "."], "run.trec:1: expected a finite"),
        ("run.trec", "", ["metrics", "run.trec", "--dataset", "."], "run.trec:1: "),
        ("run.trec", "q0 Q0 d0 1 1 x\n" * 2, ["metrics", "run.trec", "--dataset", "."], "run.trec:2: "),
        ("run.trec", "q0 Q0 d0 1 1 x\n", ["metrics", "run.trec", "--dataset", ".:dev"], "qrels/dev.tsv"),
        ("run.trec", "q0 Q0 d0 1 1 x\n", ["metrics", "run.trec", "--dataset", ".", "--measure", "ndgc@10"], "ndcg@10"),
        ("qrels/test.tsv", "q0\t0\n", ["metrics", "teacher.trec", "--dataset", "."], "qrels/test.tsv:1: "),
        ("corpus.jsonl", '{"_id": "d0", "te', ["retrieve", "--dataset", ".", "--output", "o"], "corpus.jsonl:1: "),
        ("queries.jsonl", "", ["retrieve", "--dataset", ".", "--output", "o"], "queries.jsonl:1: "),
        ("x", "", ["retrieve", "--dataset", "nowhere", "--output", "o"], "expected a folder in BEIR layout"),
        ("x", "", ["retrieve", "--dataset", ".", "--retriever", "bm52", "--output", "o"], "did you mean 'bm25'"),
        ("x", "", ["train", "--backbone", "b", "--objective", "bce", "--output", "o", "--set", "a"], "KEY=VALUE"),
        ("x", "", ["train", "--backbone", "b", "--objective", "bce"], "Missing option '--output'"),
        ("x", "", ["run", "nothing"], "expected a study's folder"),
    ],
)
def test_bad_input_is_one_line_status_2_and_writes_nothing(tiny, file, content, arguments, message):
    (tiny / file).write_text(content)
    before = sorted(tiny.rglob("*"))
    done = _run(*arguments, cwd=tiny, status=2)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and message in done.stderr
    assert done.stdout == "" and sorted(tiny.rglob("*")) == before


def test_unlabelled_objective_needs_are_told_before_reading(tiny, tmp_path):
    (tiny / "corpus.jsonl").write_text("broken")  # would be found if it were read first
    arguments = ["--backbone", "minilm-l6", "--dataset", tiny, "--candidates", tiny / "candidates.trec"]
    done = _run("train", "--objective", "margin-mse", *arguments, "--output", tmp_path / "o", status=2)
    assert "needs teacher-scores" in done.stderr and "--teacher RUN" in done.stderr and not (tmp_path / "o").exists()


def test_teachers_are_compared(tiny):
    shown = _run("teachers", tiny / "teacher.trec", tiny / "candidates.trec", "--dataset", tiny, "--json")
    report = json.loads(shown.stdout)
    assert set(report["teachers"]) == {"teacher", "candidates"} and len(report["pairs"]) == 1
    assert report["pairs"][0]["spearman"] == 1.0  # both prefer lower numbers
    shown = _run("teachers", tiny / "teacher.trec", "--candidates", tiny / "candidates.trec")
    assert "75.0%" in shown.stdout  # of q<i> it lacks the last i of ten
    both = _run("teachers", tiny / "teacher.trec", "--dataset", tiny, "--qrels", tiny / "qrels" / "test.tsv", status=2)
    assert "expected one of --dataset and --qrels, found both" in both.stderr
