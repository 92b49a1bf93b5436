"""Tables made once from large text files, block by block, and mapped into memory afterwards.

Ids that are all whole numbers as MS MARCO's are kept in four bytes each; whoever reads a table sees strings.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from cedistill.cache import cache_folder
from cedistill.data.digests import file_digest
from cedistill.data.fetch import Advance, alone
from cedistill.data.runs import LARGEST_SCORE
from cedistill.errors import InputError

_BLOCK = 1 << 24  # bytes of text read at once
_POWERS = 10 ** np.arange(1, 10, dtype=np.int64)
_GZIP = b"\x1f\x8b"


class UnfitError(Exception):
    """A file is not of the plain shape that is read fast; the slow reader says what is wrong with it, if anything."""


def table_path(kind: str, version: int, source: Path) -> Path:
    """Return where the table of a file's content lies; ``version`` is that of the table's layout."""
    key = hashlib.sha256(f"{kind} {version} {file_digest(source)}".encode()).hexdigest()[:32]
    return cache_folder() / "tables" / f"{kind}-{key}.arrow"


def made_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Return ``path``, made by ``write`` under another name first where it is missing, by one process at a time.

    Raises:
        InputError: there is no room for it.
    """
    if path.exists():
        return path
    partial = path.with_suffix(".partial")  # one name, so that what a killed process left is overwritten
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path):
            if not path.exists():
                try:
                    write(partial)
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: expected room and leave to write this table, found: {error.strerror or error}; "
            "free some, or set CEDISTILL_CACHE to another folder"
        ) from None
    return path


def checked_once(table: Path, inputs: Iterable[str], check: Callable[[], None]) -> None:
    """Run ``check`` unless it has passed before for the same table and inputs (hashes)."""
    key = hashlib.sha256("\n".join([table.stem, *inputs]).encode()).hexdigest()[:32]
    note = cache_folder() / "tables" / f"checked-{key}"
    if not note.exists():
        check()
        note.touch()


def write_batches(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write record batches as an arrow file. Raises UnfitError when one has another schema than the first."""
    following = iter(batches)
    first = next(following)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema) as writer:
        for batch in itertools.chain([first], following):
            if batch.schema != first.schema:
                raise UnfitError
            writer.write_batch(batch)


def mapped(path: Path) -> pa.Table:
    """Return an arrow file as a table whose columns lie in the file, not in memory."""
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        return reader.read_all()


def csv_blocks(path: Path, names: list[str], numbers: set[str], progress: Advance | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a tab- or space-separated file, optionally gzip-compressed, in blocks.

    Args:
        path: the file, without a header.
        names: of its columns.
        numbers: those columns that hold finite numbers (float64); the others are strings.
        progress: told of the MiB of the file that were read.

    Raises:
        UnfitError: rows of other widths, blank lines, a number that is none, bytes that are no UTF-8, a damaged file.
    """
    size = path.stat().st_size
    # Arrow's own file: its threads must not touch a Python object while the interpreter shuts down.
    with pa.OSFile(str(path)) as raw:
        zipped = raw.read(2) == _GZIP
        raw.seek(0)
        source = pa.CompressedInputStream(raw, "gzip") if zipped else raw
        options = {
            "read_options": pc_csv.ReadOptions(column_names=names, block_size=_BLOCK),
            "parse_options": pc_csv.ParseOptions(
                delimiter=_delimiter(path), quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            "convert_options": pc_csv.ConvertOptions(
                column_types={name: pa.float64() if name in numbers else pa.string() for name in names},
                strings_can_be_null=False,
            ),
        }
        try:
            with pc_csv.open_csv(source, **options) as reader:
                for batch in reader:
                    if not batch.num_rows:
                        continue
                    for name in numbers:
                        _check_finite(batch[name])
                    if progress:
                        progress(raw.tell() >> 20, max(size >> 20, 1), "MiB")
                    yield batch
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise UnfitError(str(error)) from None
        except OSError as error:
            if error.errno is not None:  # the disk, not the file's content
                raise
            raise UnfitError(str(error)) from None


def compact(ids: pa.Array) -> pa.Array | None:
    """Return ids as uint32, or None unless each is a whole number below 10^9 written in the plain way."""
    try:
        values = pc.cast(ids, pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    lengths = pc.binary_length(ids).to_numpy(zero_copy_only=False)
    digits = np.searchsorted(_POWERS, values, side="right") + 1
    if not len(values) or values.min() < 0 or values.max() >= 10**9 or (digits != lengths).any():
        return None
    return pa.array(values.astype(np.uint32))


def check_plain(ids: pa.Array) -> pa.Array:
    """Return ids, each of at least one character and without white space. Raises UnfitError for others."""
    if not pc.all(pc.string_is_ascii(ids)).as_py() or pc.any(pc.match_substring_regex(ids, r"^$|[\x00-\x20]")).as_py():
        raise UnfitError
    return ids


def _check_finite(values: pa.Array) -> None:
    if values.null_count or not (np.abs(values.to_numpy(zero_copy_only=False)) <= LARGEST_SCORE).all():
        raise UnfitError


def _delimiter(path: Path) -> str:
    from cedistill.data.files import read_lines

    return "\t" if "\t" in next(read_lines(path), (0, ""))[1] else " "
