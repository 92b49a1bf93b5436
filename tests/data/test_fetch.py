import hashlib
import resource
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cedistill.config.sources import SourceFile
from cedistill.data import digests
from cedistill.data.digests import file_digest
from cedistill.data.fetch import fetch
from cedistill.errors import InputError

CONTENT = bytes(range(256)) * 12_000  # 3 MB
MD5 = hashlib.md5(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        start = int(self.headers["Range"][6:-1]) if self.headers["Range"] and server.ranges else 0
        server.starts.append(start)
        if start >= len(CONTENT):
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : server.cut or len(CONTENT)])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.ranges, server.cut, server.starts = True, None, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CEDISTILL_SOURCES", str(tmp_path / "sources"))
    return tmp_path / "sources"


def _file(server, md5=MD5):
    return SourceFile(f"http://127.0.0.1:{server.server_port}/files/scores.tsv", md5)


def _error(file):
    with pytest.raises(InputError) as caught:
        fetch(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_downloaded_once_and_told(server, folder):
    told = []
    path = fetch(_file(server), lambda *now: told.append(now))
    assert path == folder / "scores.tsv" and path.read_bytes() == CONTENT
    assert told == [(1, 2, "MiB"), (2, 2, "MiB"), (2, 2, "MiB")]
    assert fetch(_file(server)) == path and server.starts == [0]


def test_a_half_download_is_gone_on_with(server, folder):
    server.cut = 2_000_000
    assert "check the network and try again" in _error(_file(server))
    half = (folder / "scores.tsv.part" / "partial").read_bytes()
    assert 1_900_000 < len(half) <= 2_000_000 and not (folder / "scores.tsv").exists()
    server.cut = None
    assert fetch(_file(server)).read_bytes() == CONTENT and server.starts == [0, len(half)]
    assert sorted(path.name for path in folder.iterdir()) == ["scores.tsv", "scores.tsv.lock"]


def test_a_server_without_ranges_starts_again(server, folder):
    (folder / "scores.tsv.part").mkdir(parents=True)
    (folder / "scores.tsv.part" / "partial").write_bytes(b"x" * 5000)
    server.ranges = False
    assert fetch(_file(server)).read_bytes() == CONTENT


def test_a_whole_download_whose_checksum_was_not_yet_looked_at(server, folder):
    (folder / "scores.tsv.part").mkdir(parents=True)
    (folder / "scores.tsv.part" / "tmp_0").write_bytes(CONTENT)
    (folder / "scores.tsv.part" / "partial").write_bytes(CONTENT[:10])
    assert fetch(_file(server)).read_bytes() == CONTENT and server.starts == [len(CONTENT)]
    assert sorted(path.name for path in folder.iterdir()) == ["scores.tsv", "scores.tsv.lock"]


def test_a_wrong_checksum_names_both_and_leaves_nothing(server, folder):
    error = _error(_file(server, md5="0" * 32))
    assert error.startswith(f"http://127.0.0.1:{server.server_port}/files/scores.tsv: expected md5 {'0' * 32}, ")
    assert f"found md5 {MD5}" in error and error.endswith(f"put it at {folder / 'scores.tsv'}")
    assert [path.name for path in folder.iterdir()] == ["scores.tsv.lock"]
    assert fetch(_file(server)).read_bytes() == CONTENT


def test_a_damaged_half_download_is_found_by_the_checksum_and_not_kept(server, folder):
    (folder / "scores.tsv.part").mkdir(parents=True)
    (folder / "scores.tsv.part" / "partial").write_bytes(b"x" * 5000)
    assert "expected md5" in _error(_file(server))
    assert fetch(_file(server)).read_bytes() == CONTENT


def test_no_network(server, folder):
    file = _file(server)
    server.shutdown()
    server.server_close()
    error = _error(file)
    assert error.startswith(f"{file.url}: expected to download it (md5 {MD5}), found: [Errno 111] Connection refused;")
    assert error.endswith(f"put it at {folder / 'scores.tsv'}")


def test_a_file_put_there_by_hand(server, folder):
    folder.mkdir()
    (folder / "scores.tsv").write_bytes(CONTENT)
    assert fetch(_file(server)) == folder / "scores.tsv" and server.starts == []
    (folder / "scores.tsv").write_bytes(CONTENT[:-1])
    found = hashlib.md5(CONTENT[:-1]).hexdigest()
    assert f"with md5 {MD5}, found md5 {found}; remove it" in _error(_file(server))
    assert (folder / "scores.tsv").read_bytes() == CONTENT[:-1]


def test_no_room(server, folder):
    code = (
        "import sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from cedistill.config.sources import SourceFile\nfrom cedistill.data.fetch import fetch\n"
        "try:\n    fetch(SourceFile(sys.argv[1], sys.argv[2]))\nexcept ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, _file(server).url, MD5],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)),
    )
    error = done.stdout
    assert error.count("\n") == 1 and "found: File too large; free some, set CEDISTILL_SOURCES" in error, done.stderr
    assert _file(server).url in error and MD5 in error and not (folder / "scores.tsv").exists()


def test_hashes_of_large_files_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_bytes(b"one")
    monkeypatch.setattr(digests, "_REMEMBERED_FROM", 2)
    assert file_digest(path, "md5") == hashlib.md5(b"one").hexdigest()
    reading = digests._hashed
    monkeypatch.setattr(digests, "_hashed", lambda *_: pytest.fail("read again"))
    assert file_digest(path, "md5") == hashlib.md5(b"one").hexdigest()
    monkeypatch.setattr(digests, "_hashed", reading)
    path.write_bytes(b"other")
    assert file_digest(path, "md5") == hashlib.md5(b"other").hexdigest()
