"""Hashes of files, remembered: a large file is read once and again only when its size or time changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cedistill.cache import cache_folder

_REMEMBERED_FROM = 1 << 24  # bytes; smaller files are hashed each time, which takes milliseconds


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file's bytes, in hexadecimal.

    Of files from 16 MiB the hash is kept in the cache, under the file's path, size and time of change.

    Args:
        path: the file; or a folder, whose hash is that of the hashes of its files.
        algorithm: a name that hashlib knows.
    """
    path = Path(path)
    if path.is_dir():
        hashes = [f"{one.name} {file_digest(one, algorithm)}" for one in sorted(path.iterdir()) if one.is_file()]
        return hashlib.new(algorithm, "\n".join(hashes).encode()).hexdigest()
    stat = path.stat()
    if stat.st_size < _REMEMBERED_FROM:
        return _hashed(path, algorithm)
    identity = f"{algorithm}\n{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    note = cache_folder() / "digests" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    if note.is_file() and (known := note.read_text()):
        return known
    digest = _hashed(path, algorithm)
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(digest)
    partial.replace(note)
    return digest


def _hashed(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
