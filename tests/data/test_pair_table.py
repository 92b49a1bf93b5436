import gzip
import os
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest

from cedistill.data import arrow_tables, pair_table
from cedistill.data.pair_table import PairTable
from cedistill.data.pairs import read_pairs
from cedistill.errors import InputError

FIVE = "9.5\t-2.25\t400296\t1540783\t3518497\n1e-3\t0\t1\t2\t3\n"


def _rows(pairs):
    for one in pairs:
        scores = [] if one.positive_score is None else [pytest.approx([one.positive_score, one.negative_score])]
        ids = [one.positive_id, one.negative_id]
        yield {"query_id": one.query_id, "document_ids": ids, "labels": [1.0, 0.0], "scores": scores}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (FIVE, "uint32"),
        (FIVE.replace("\t", " "), "uint32"),
        (FIVE.replace("\n", "\r\n"), "uint32"),
        ("\ufeff" + FIVE, "uint32"),
        ("q\tp\tn\n1\t2\t3\n", "string"),
        ("1\t2\t3\n01\t2\t3\n", "string"),  # 01 is not 1
        ("1\t2\t3\n-1\t2\t3\n+1\t2\t3\n", "string"),
        ("1\t2\t3\n1234567890\t2\t3\n", "string"),
        ("1\t2\t3\nNA\tnull\t\n".replace("\t\n", "\tnan\n"), "string"),
        ('"a\tb"\tc\n', "string"),  # quotes are characters like any other
        ("1  2   3\n4 5\t6\n", "string"),  # white space of mixed width is read slowly
        ("1\t2\t3\n\n\n", "string"),  # so are blank lines at the end
        ("fragé\tp\tn\n", "string"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_rows_are_those_of_the_slow_reader(tmp_path, text, kept, zipped):
    path = tmp_path / "a.tsv"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    table = pair_table.pair_table(path)
    assert list(table) == list(_rows(read_pairs(path))) and table.num_rows == len(table) == len(list(read_pairs(path)))
    assert {str(table.columns[name].type) for name in ("query", "positive", "negative")} == {kept}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t3\n1\t2\n", "2: expected 3 columns as in the first line, found 2: '1\\t2'"),
        (FIVE + "nan\t1\t1\t2\t3\n", "3: expected a finite score, found 'nan'"),
        (FIVE + "1e39\t1\t1\t2\t3\n", "3: expected a finite score, found '1e39'"),
        (FIVE + "x\t1\t1\t2\t3\n", "3: expected a number as score, found 'x'"),
        (FIVE + "\t1\t1\t2\t3\n", "3: expected 5 columns"),
        (FIVE + "\n" + FIVE, "3: expected no blank line between others"),
        ("query-id\tcorpus-id\tscore\n1\t2\t1\n", "1: expected two columns"),
        ("1\t2\t3\n1\t \t3\n", "2: expected 3 columns"),
        ("1\t2\t3\n1\t2 3\t4\n", "2: expected 3 columns as in the first line, found 4"),
        ("", "1: expected two columns"),
    ],
)
def test_errors_name_the_line_and_leave_no_table(tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        pair_table.pair_table(path)
    assert str(caught.value).startswith(f"{path}:{message}") and "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/tables/*.arrow")) and not list(tmp_path.glob("cache/tables/*.partial"))


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:-50] + bytes(50)])
def test_a_damaged_gzip_file(tmp_path, damage):
    raw = gzip.compress("".join(f"{i}\t{i * 7}\t{i * 11}\n" for i in range(50_000)).encode())
    (tmp_path / "a.tsv.gz").write_bytes(damage(raw))
    with pytest.raises(InputError, match=r"a\.tsv\.gz:\d+: expected a whole gzip file"):
        pair_table.pair_table(tmp_path / "a.tsv.gz")


def test_numbers_end_late_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_tables, "_BLOCK", 1000)
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{i}\t2\t3\n" for i in range(1000)) + "x\t2\t3\n")
    table = pair_table.pair_table(path)
    assert table.num_rows == 1001 and table[0]["query_id"] == "0" and table[1000]["query_id"] == "x"
    assert table.columns["query"].num_chunks > 5


def test_made_once_and_mapped_by_other_processes(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"1.5\t2\t{i}\t{i}\t3\n" for i in range(1000)))
    first = pair_table.pair_table(path)
    monkeypatch.setattr(pair_table, "_write", lambda *_: pytest.fail("made again"))
    moved = tmp_path / "moved.tsv"
    path.rename(moved)
    assert pair_table.pair_table(moved).path == first.path  # the content counts, not the name
    packed = pickle.dumps(first)
    assert len(packed) < 1000 and isinstance(pickle.loads(packed), PairTable)
    assert pickle.loads(packed)[999] == first[999]
    before = pa.total_allocated_bytes()
    again = PairTable(first.path)
    assert again[0]["query_id"] == "0" and pa.total_allocated_bytes() - before < 5000  # 20 000 bytes lie in the file


def test_a_row_that_is_none(tmp_path):
    (tmp_path / "a.tsv").write_text(FIVE)
    with pytest.raises(IndexError):
        pair_table.pair_table(tmp_path / "a.tsv")[2]


MEASURED = """
import sys, time
from cedistill.config.objective import Lists
from cedistill.config.train_data import TrainData
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
started = time.monotonic()
data = TrainData(dataset=sys.argv[1], pairs=sys.argv[1] + "/pairs.tsv")
pools = load_pools(data, labels=False)
lists = TrainingLists(pools, Lists(kind="pairs", needs=("teacher-scores",), size=2), 1, 10_000_000)
assert len(lists[7_654_321].documents) == 2
status = open("/proc/self/status").read()
print(pools.table.num_rows, int(status.split("RssAnon:")[1].split()[0]) >> 10, time.monotonic() - started)
"""


@pytest.mark.slow
def test_a_million_lines_take_little_memory_and_the_second_start_seconds(tiny, tmp_path):
    with (tiny / "pairs.tsv").open("w") as file:
        file.writelines(f"{i % 97 / 8}\t{i % 89 / 8}\tq{i % 6}\td{i % 30}\td{i * 7 % 30}\n" for i in range(1_000_000))

    def measure():
        done = subprocess.run([sys.executable, "-c", MEASURED, str(tiny)], capture_output=True, text=True, check=True)
        rows, megabytes, seconds = done.stdout.split()
        return int(rows), int(megabytes), float(seconds)

    first, second = measure(), measure()
    assert first[0] == second[0] == 1_000_000
    assert first[1] < 1000 and second[1] < 600  # the imports of torch and datasets are most of it
    assert second[2] < 5


def test_what_a_killed_process_left_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.tsv").write_text(FIVE)
    path = pair_table.pair_table(tmp_path / "a.tsv").path
    whole = path.read_bytes()
    path.rename(path.with_suffix(".partial"))
    path.with_suffix(".partial").write_bytes(whole[:100])
    assert pair_table.pair_table(tmp_path / "a.tsv").path.read_bytes() == whole
    assert not path.with_suffix(".partial").exists()


def test_no_room_for_the_table(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"{i}\t{i}\t{i}\n" for i in range(100_000)))
    code = (
        "import sys, signal, resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path\nfrom cedistill.data.pair_table import pair_table\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "try:\n    pair_table(Path(sys.argv[1]))\nexcept ValueError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "CEDISTILL_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code, str(tmp_path / "a.tsv")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.count("\n") == 1 and "free some, or set CEDISTILL_CACHE" in done.stdout, done.stderr
    assert [path.suffix for path in (tmp_path / "cache" / "tables").iterdir()] == [".lock"]
