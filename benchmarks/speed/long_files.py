"""How long training data of the study's size take to start from, and how much memory: generated files, own processes.

    python benchmarks/speed/long_files.py FOLDER [--lines 40000000] [--documents 1000000]

Three things are measured: a teacher file of five columns, a run of the same number of lines, and BM25's candidates over
short documents. Each is opened twice: the first start converts or builds, the second finds what the first kept. Peaks
are those of the process: all resident memory (which counts mapped files while they are read), and its own (anonymous).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

_BLOCK = 1_000_000


def _teacher_file(path: Path, lines: int) -> None:
    random = np.random.default_rng(1)
    with path.open("w") as file:
        for start in range(0, lines, _BLOCK):
            count = min(_BLOCK, lines - start)
            scores = random.normal(0, 8, (count, 2)).round(4)
            ids = random.integers(0, [1_185_869, 8_841_823, 8_841_823], (count, 3))
            rows = np.hstack([scores.astype("U9"), ids.astype("U9")])
            file.write("\n".join("\t".join(row) for row in rows) + "\n")


def _run_file(path: Path, lines: int, depth: int = 500) -> None:
    random = np.random.default_rng(2)
    with path.open("w") as file:
        for query in range(lines // depth):
            start = int(random.integers(0, 8_000_000))
            documents = range(start, start + 17 * depth, 17)  # a document once a query
            file.write("".join(f"{query} Q0 {one} {k + 1} {40 - k / 20:.4f} c\n" for k, one in enumerate(documents)))


def _corpus(folder: Path, documents: int) -> None:
    random = np.random.default_rng(3)
    folder.mkdir(exist_ok=True)
    with (folder / "corpus.jsonl").open("w") as file:
        for number in range(documents):
            words = (random.zipf(1.3, 40) % 300_000).tolist()
            text = " ".join(f"w{one:x}" for one in words)
            file.write(f'{{"_id": "d{number}", "title": "", "text": "{text}"}}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q0", "text": "w11 wfe w3a7"}\n')


def _open_pairs(path: Path) -> None:
    from cedistill.data.pair_table import pair_table

    table = pair_table(path)
    for row in np.random.default_rng(4).integers(0, table.num_rows, 1000):
        _ = table[int(row)]


def _open_run(path: Path) -> None:
    from cedistill.data.run_table import RunTable, run_table_path

    table = RunTable(run_table_path(path), None, False, None)
    for row in np.random.default_rng(5).integers(0, table.num_rows, 1000):
        _ = table[int(row)]


def _open_index(folder: Path) -> None:
    from cedistill.data.collections import open_collection
    from cedistill.retrieval.first_stage import retrieved

    assert retrieved(open_collection(str(folder)), "bm25", 10)


OPEN: dict[str, Callable[[Path], None]] = {"pairs": _open_pairs, "run": _open_run, "bm25": _open_index}


def _child(kind: str, path: Path) -> None:
    own = [0]

    def watch() -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            own[0] = max(own[0], next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    started = time.monotonic()
    OPEN[kind](path)
    seconds = time.monotonic() - started
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    sys.stdout.write(json.dumps({"seconds": round(seconds, 1), "peak_mb": peak // 1024, "own_mb": own[0] // 1024}))


def _measured(kind: str, path: Path, cache: Path) -> list[dict[str, float]]:
    environment = os.environ | {"CEDISTILL_CACHE": str(cache)}
    command = [sys.executable, __file__, str(path), "--child", kind]
    starts = []
    for _ in range(2):
        answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        starts.append(json.loads(answer.stdout))
    return starts


def main() -> None:
    """Generate, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lines", type=int, default=40_000_000)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--child", choices=[*OPEN])
    given = parser.parse_args()
    if given.child:
        _child(given.child, given.folder)
        return
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"pairs": folder / "teacher.tsv", "run": folder / "long.run", "bm25": folder / "corpus"}
    makers = {"pairs": _teacher_file, "run": _run_file, "bm25": _corpus}
    result: dict[str, object] = {"machine": {"cores": os.cpu_count(), "system": platform.platform()}}
    for kind, path in paths.items():
        size = given.documents if kind == "bm25" else given.lines
        makers[kind](path, size)
        file = path / "corpus.jsonl" if path.is_dir() else path
        first, second = _measured(kind, path, folder / "cache")
        result[kind] = {"size": size, "file_mb": file.stat().st_size >> 20, "first": first, "second": second}
        file.unlink()
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
