"""References to candidates, as options and study files give them: run files, and names of first stages."""

from __future__ import annotations

from pathlib import Path

from cedistill.errors import InputError, unknown

BM25 = "bm25"
BI_ENCODER = "bi-encoder"
SPARSE = "sparse"
RETRIEVERS = (BM25, f"{BI_ENCODER}:M", f"{SPARSE}:M")
"""First stages by name; M is a model: a name, a Hub id or a folder."""


def run_path(reference: str) -> Path:
    """Return the run file that ``reference`` means: a path, or ``demo:NAME`` for a run that comes with the demo."""
    if reference.startswith("demo:"):
        from cedistill.demo import demo_run

        return demo_run(reference.removeprefix("demo:"))
    return Path(reference)


def is_retriever(reference: str) -> bool:
    """Return whether a reference names a first stage that makes candidates, not a run file."""
    kind, colon, model = reference.partition(":")
    return reference == BM25 or (kind in (BI_ENCODER, SPARSE) and bool(colon and model))


def parse_retriever(reference: str) -> tuple[str, str]:
    """Return the kind of a first stage (``bm25``, ``bi-encoder`` or ``sparse``) and its model, empty for BM25.

    Raises:
        InputError: it names none.
    """
    if not is_retriever(reference):
        raise InputError(unknown("retriever", reference, RETRIEVERS))
    kind, _, model = reference.partition(":")
    return kind, model


def retriever_files(reference: str) -> list[Path]:
    """Return the files that a first stage is made of where its model is a folder; none for a name or a Hub id."""
    _, model = parse_retriever(reference)
    folder = Path(model).expanduser()
    return model_files(folder) if model and folder.is_dir() else []


def retriever_beside(reference: str, folder: Path) -> str:
    """Return a first stage with its model's path starting at ``folder``, where that is a folder and not a name."""
    kind, model = parse_retriever(reference)
    return f"{kind}:{folder / model}" if model and (folder / model).is_dir() else reference


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model's folder, sorted, without hidden ones."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
