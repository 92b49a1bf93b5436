"""What happens when files of public data sets are missing, damaged, half there, or fetched by two at once."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import homes
import pytest

from cedistill.data.collections import fetch, open_collection
from cedistill.data.prefetch import listed, listing_text, prefetch, shown_bytes
from cedistill.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def _error(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _cli(home, *arguments):
    command = [sys.executable, "-m", "cedistill", *map(str, arguments)]
    environment = os.environ | {"IR_DATASETS_HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=250)


@pytest.fixture
def server(monkeypatch, irds_home):
    """A host on this machine; ``point`` gives it a download's content and makes ir_datasets fetch it there."""
    monkeypatch.undo()
    monkeypatch.setenv("IR_DATASETS_HOME", str(irds_home))
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            asked.append(self.path)
            content = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    host = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=host.serve_forever, daemon=True).start()

    def point(key, content, md5=None):
        from ir_datasets.util import DownloadConfig

        family, _, name = key.partition("/")
        files[f"/{name}"] = content
        entry = DownloadConfig.contents()[family][name]
        entry["url"] = f"http://127.0.0.1:{host.server_port}/{name}"
        entry["expected_md5"] = md5 or hashlib.md5(content).hexdigest()
        entry["size_hint"] = len(content)

    yield point, asked
    host.shutdown()


def _scifact(tmp_path):
    homes.beir_zip(tmp_path / "made.zip", "scifact", ("train", "test"))
    return (tmp_path / "made.zip").read_bytes()


def _reload(point, *arguments):
    """Data sets take their addresses as ir_datasets is imported."""
    import importlib

    import ir_datasets

    point(*arguments)
    for name in [one for one in ir_datasets.registry if one.partition("/")[0] == "beir"]:
        del ir_datasets.registry._registered[name]
    importlib.reload(ir_datasets.datasets.beir)


def test_no_network_is_one_line_at_once(tmp_path):
    started = time.monotonic()
    code = (
        "import requests\n"
        "def refuse(*a, **k): raise requests.ConnectionError('none')\n"
        "requests.Session.request = refuse\n"
        "import sys; sys.argv = ['cedistill', 'data', 'prefetch', 'beir']\n"
        "from cedistill.cli import main; main()"
    )
    environment = os.environ | {"IR_DATASETS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: beir/arguana: expected to fetch https://") and done.stderr.count("\n") == 1
    assert f"put the file at {tmp_path}/beir/arguana/source.zip" in done.stderr
    assert time.monotonic() - started < 20


def test_a_collection_under_licence_says_where_to_get_it_and_put_it(irds_home):
    message = _error(open_collection, "disks45/nocr/trec-robust-2004")
    assert "trec.nist.gov/data/cd45" in message and f"expected the collection in {irds_home}/disks45/corpus" in message


def test_a_collection_that_is_not_whole(irds_home):
    homes.robust04(irds_home)
    next((irds_home / "disks45/corpus/NEWS_data/FBIS").iterdir()).unlink()
    message = _error(open_collection, "disks45/nocr/trec-robust-2004")
    assert "found 2294 files of the expected 2295" in message and f"{irds_home}/disks45/corpus" in message
    homes.robust04(irds_home)
    assert len(open_collection("disks45/nocr/trec-robust-2004").documents) == 2295


def test_damaged_archive_names_the_file(irds_home):
    path = irds_home / "beir/scifact/source.zip"
    homes.beir_zip(path, "scifact", ("train", "test"))
    path.write_bytes(path.read_bytes()[:1000])
    message = _error(open_collection, "beir/scifact/test")
    assert str(path) in message and "BadZipFile" in message and "remove them and run cedistill data prefetch" in message


def test_archive_without_what_belongs_in_it(irds_home):
    path = irds_home / "beir/scifact/source.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scifact/corpus.jsonl", "{}")
    assert "'scifact/qrels/test.tsv' in the archive" in _error(open_collection, "beir/scifact/test")


def test_files_without_the_note_of_their_version_are_kept(irds_home):
    path = irds_home / "msmarco-passage/collection.tsv"
    path.parent.mkdir()
    path.write_text("0\ttext\n")
    message = _error(fetch, [("msmarco-passage/dev/small", "bm25")])
    assert f"{irds_home}/msmarco-passage/irds_version.txt with 'v2'" in message
    assert path.read_text() == "0\ttext\n"
    store = irds_home / "beir/scifact/docs.pklz4"
    store.mkdir(parents=True)
    assert "irds_version.txt" in _error(fetch, [("beir/scifact/test", "bm25")]) and store.is_dir()


def test_extraction_that_was_killed_begins_anew(irds_home):
    homes.lotte(irds_home)
    half = irds_home / "lotte/lotte_extracted/lotte/writing/test"
    half.mkdir(parents=True)
    (half / "collection.tsv").write_text("0\thalf a")
    (irds_home / "lotte/lotte_extracted.unfinished").touch()
    found = open_collection("lotte/writing/test/search")
    assert len(found.documents) == 24 and found.documents["0"] == "this tells of topic0"
    assert not (irds_home / "lotte/lotte_extracted.unfinished").exists()


def test_document_store_that_was_killed_is_built_anew(irds_home):
    homes.beir_zip(irds_home / "beir/scifact/source.zip", "scifact", ("train", "test"))
    (irds_home / "beir/scifact/docs.pklz4").mkdir()
    (irds_home / "beir/scifact/irds_version.txt").write_text("v2")
    (irds_home / "beir/scifact/docs.pklz4/bin").write_bytes(b"half" * 1000)
    documents = open_collection("beir/scifact/test").documents
    assert len(documents) == 24 and documents["d23"] == "Title 23 this tells of topic5"
    assert (irds_home / "beir/scifact/docs.pklz4/bin").stat().st_size < 4000


def test_a_download_is_checked_and_kept(irds_home, server, tmp_path, capfd):
    point, asked = server
    _reload(point, "beir/scifact", _scifact(tmp_path))
    prefetch(["beir/scifact/test"])
    assert asked == ["/scifact"] and (irds_home / "beir/scifact/source.zip").is_file()
    assert "scifact" in capfd.readouterr().err  # the bar
    assert open_collection("beir/scifact/test").qrels["q0"] == {"d0": 2, "d6": 1, "d1": 0}
    assert asked == ["/scifact"]
    (irds_home / "beir/scifact/source.zip").unlink()  # what was made of it is enough
    assert len(open_collection("beir/scifact/test").documents) == 24 and asked == ["/scifact"]


def test_a_wrong_checksum_leaves_nothing(irds_home, server, tmp_path):
    point, _ = server
    _reload(point, "beir/scifact", _scifact(tmp_path), "0" * 32)
    message = _error(open_collection, "beir/scifact/test")
    assert "expected the published file, found another" in message and "0" * 32 in message
    assert not list((irds_home / "beir/scifact").glob("source.zip*"))


def test_two_processes_do_the_work_once(irds_home, tmp_path):
    homes.msmarco(irds_home)
    code = (
        "import sys, time\n"
        "from cedistill.data import public_files\n"
        "import ir_datasets\n"
        "from ir_datasets.indices.lz4_pickle import PickleLz4FullStore as store\n"
        "build = store.build\n"
        "def slow(self):\n"
        "    if not self.built(): time.sleep(1.5); print('built', flush=True)\n"
        "    build(self)\n"
        "store.build = slow\n"
        "from cedistill.data.collections import open_collection\n"
        "print(len(open_collection('msmarco-passage/trec-dl-2019/judged').documents))\n"
    )
    environment = os.environ | {"IR_DATASETS_HOME": str(irds_home), "CEDISTILL_CACHE": str(tmp_path / "cache")}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        for _ in range(2)
    ]
    said = sorted(one.communicate(timeout=250)[0] for one in both)
    assert said == ["24\n", "built\n24\n"]


def test_dry_run_lists_and_fetches_nothing(tmp_path):
    done = _cli(tmp_path / "home", "data", "prefetch", "beir", "robust04", "nano-beir/quora", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    by_path = {Path(row["path"]).relative_to(tmp_path / "home").as_posix(): row for row in result["files"]}
    scifact = by_path["beir/scifact/source.zip"]
    assert (scifact["state"], scifact["bytes"], scifact["md5"]) == (
        "fetch",
        2816079,
        "5f7d1de60b170fc8027bb7898e2efca1",
    )
    assert (
        by_path["disks45/corpus"]["state"] == "by hand" and by_path["nano-beir/quora/corpus.parquet"]["bytes"] is None
    )
    assert result["files_of_unknown_size"] == 3
    assert result["bytes_to_fetch"] == sum(row["bytes"] or 0 for row in result["files"] if row["state"] == "fetch")
    assert not list((tmp_path / "home").rglob("*.zip"))


def test_dry_run_says_what_is_there(irds_home):
    homes.beir_zip(irds_home / "beir/scifact/source.zip", "scifact", ("train", "test"))
    result = listed(["beir/scifact", "beir/nfcorpus/test"])
    assert [row["state"] for row in result["files"]] == ["here", "fetch"]
    text = listing_text(result)
    assert text.startswith("here") and "1 files to fetch, 2.4 MB, into" in text


def test_what_is_shared_is_listed_once(irds_home):
    assert [row["path"] for row in listed(["cqadupstack"])["files"]] == [f"{irds_home}/beir/cqadupstack/source.zip"]
    assert len(listed(["cqadupstack"])["files"][0]["datasets"]) == 12


def test_a_study_is_listed_with_its_validation(irds_home, tmp_path):
    (tmp_path / "study.toml").write_text(
        'title = "t"\nbackbones = ["minilm-l6"]\nobjectives = ["bce"]\n'
        '[train]\ndataset = "msmarco-passage/train"\n[validate]\ndataset = "nano-beir/nq"\n'
        '[[evaluate]]\ndataset = "msmarco-passage-v2/trec-dl-2021/judged"\ncandidates = "scoreddocs"\n'
        '[[evaluate]]\ndataset = "demo"\n'
    )
    paths = " ".join(row["path"] for row in listed([str(tmp_path)])["files"])
    for part in ("train/qrels", "nano-beir/nq/corpus.parquet", "trec-dl-2021/top100.trec.gz", "collectionandqueries"):
        assert part in paths


def test_unknown_names(irds_home):
    assert "unknown benchmark 'biir'; did you mean 'beir'?" in _error(listed, ["biir"])
    assert "did you mean beir/scifact/test" in _error(open_collection, "beir/scifct/test")
    message = _error(open_collection, "disks45/nocr/trec-robust-2004:titel")
    assert "unknown query field 'titel'; did you mean 'title'?" in message
    assert "name one below it: msmarco-passage/dev" in _error(open_collection, "msmarco-passage")
    assert "no top" not in message


def test_candidates_without_scores_cannot_be_cut(full_home):
    from cedistill.evaluation.first_stage import candidates_of

    collection = open_collection("msmarco-passage/dev/small")
    assert "found one score for all 12 of query 100; leave the depth out" in _error(
        candidates_of, collection, "scoreddocs", 10
    )
    without = open_collection("beir/scifact/test")
    assert "expected candidates that come with the data set" in _error(candidates_of, without, "scoreddocs", None)


@pytest.mark.parametrize(
    ("count", "shown"), [(None, "?"), (999, "999 B"), (2816079, "2.8 MB"), (21768192000, "21.8 GB")]
)
def test_bytes(count, shown):
    assert shown_bytes(count) == shown
