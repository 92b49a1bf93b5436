"""Text files on disk: read with the line number in hand, written whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from cedistill.errors import InputError, bad_line

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text file with their numbers.

    Gzip is told by content, not by name.

    Args:
        path: the file.

    Yields:
        The line's number, counted from 1, and the line without its end.

    Raises:
        InputError: the file is missing, a folder, not readable, not UTF-8 or a damaged gzip file.
    """
    number = 0
    try:
        with _opened(Path(path)) as stream:
            for number, raw in enumerate(stream, 1):
                if number == 1:
                    raw = raw.removeprefix(_BYTE_ORDER_MARK)
                yield number, raw.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"{path}: expected a file, found none of this name; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a folder; name a file inside it") from None
    except UnicodeDecodeError as error:
        found = f"the byte 0x{error.object[error.start]:02x}"
        raise bad_line(path, number, "UTF-8 text", found, "convert the file to UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise bad_line(
            path, number + 1, "a whole gzip file", "a truncated or damaged one", "copy or download it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror or error}; check it") from None


def read_rows(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file as :func:`read_lines` does, without blank lines at its end.

    Raises:
        InputError: as :func:`read_lines`, and for a blank line between others.
    """
    blank = 0
    for number, line in read_lines(path):
        if not line or line.isspace():
            blank = blank or number
            continue
        if blank:
            raise bad_line(path, blank, "no blank line between others", "one", "drop it")
        yield number, line


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file that appears under its name only when it is whole.

    The text goes to a temporary name in the same folder and is renamed at the end; after a failure nothing of it is
    left. Missing folders are made. A name that ends in ``.gz`` is compressed, with equal bytes for equal text.

    Args:
        path: the file to write or replace. A device (``/dev/stdout``) is written to directly.

    Yields:
        The open text file.

    Raises:
        InputError: ``path`` is a folder, or its folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{path}: expected the name of a file to write, found a folder; add a file name")
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8", newline="\n") as device:
            yield device
        return
    # A link stays a link: the file it points at is what gets replaced.
    target = target.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        raw = partial.open("wb")
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, found: {error.strerror}; check it") from None
    try:
        with raw, _text_stream(raw, compressed=target.suffix == ".gz") as stream:
            yield stream
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def find_file(folder: str | Path, name: str) -> Path | None:
    """Return ``folder/name`` or ``folder/name.gz``, whichever is there (the plain one first), or None."""
    for candidate in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as they lie on disk, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(path: Path) -> BinaryIO:
    raw = path.open("rb")
    if raw.peek(2)[:2] != _GZIP:
        return raw
    # GzipFile reads lines in Python, BufferedReader in C.
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 1 << 18))


@contextlib.contextmanager
def _text_stream(raw: BinaryIO, *, compressed: bool) -> Iterator[TextIO]:
    if not compressed:
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as zipped,
        io.TextIOWrapper(zipped, encoding="utf-8", newline="\n") as stream,
    ):
        yield stream
