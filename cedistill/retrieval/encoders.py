"""Encoders of sentence-transformers as first stages: dense (bi-encoders) and sparse (SPLADE and its kin)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import huggingface_hub
import numpy as np
import scipy.sparse
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

from cedistill.data.files import sha256
from cedistill.data.references import BI_ENCODER, model_files
from cedistill.errors import InputError, shown
from cedistill.model.checkpoints import Source, extra_file, find_source, quiet
from cedistill.model.reranker import default_device

_SPARSE_ROWS = 256
"""Documents whose vectors over the whole vocabulary are held before the zeros are dropped."""


class Encoder(Protocol):
    """What turns texts into vectors and compares them; a block is the vectors of some documents."""

    @property
    def device(self) -> torch.device:
        """Where scores lie."""
        ...

    def queries(self, texts: list[str]) -> Any:
        """Return the vectors of queries, sliceable by query."""
        ...

    def documents(self, texts: list[str]) -> Any:
        """Return the block of documents."""
        ...

    def scores(self, queries: Any, block: Any) -> torch.Tensor:
        """Return scores, float32 [queries, documents], minus infinity for what is not to be found."""
        ...

    def packed(self, block: Any) -> bytes:
        """Return a block as the bytes of a file."""
        ...

    def unpacked(self, path: Path) -> Any:
        """Return the block of a file. Raises OSError, ValueError or EOFError for a damaged one."""
        ...


@dataclass(frozen=True)
class Dense:
    """A bi-encoder. Blocks are float32 [documents, width]; the similarity is the model's own."""

    model: SentenceTransformer
    device: torch.device

    def queries(self, texts: list[str]) -> torch.Tensor:
        """Return float32 [queries, width] on the device."""
        return self.model.encode_query(texts, **self._how()).float()

    def documents(self, texts: list[str]) -> torch.Tensor:
        """Return float32 [documents, width] on the device."""
        return self.model.encode_document(texts, **self._how()).float()

    def scores(self, queries: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        """Return the model's similarities, float32 [queries, documents]."""
        return self.model.similarity(queries, block)

    def pairs(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Return the model's similarity of each query with the document in its row, float32 [rows]."""
        return self.model.similarity_pairwise(queries, documents)

    def packed(self, block: torch.Tensor) -> bytes:
        """Return the bytes of a .npy file."""
        return _bytes(np.save, block.cpu().numpy())

    def unpacked(self, path: Path) -> torch.Tensor:
        """Return the block, on the device."""
        return torch.from_numpy(np.load(path)).to(self.device)

    def _how(self) -> dict[str, Any]:
        batch = 32 if self.device.type == "cpu" else 128
        return {"convert_to_tensor": True, "show_progress_bar": False, "batch_size": batch}


@dataclass(frozen=True)
class Sparse:
    """A sparse encoder. Blocks are scipy matrices [vocabulary, documents]: for each word the documents that have it.

    Only documents with a score above 0 are found.
    """

    model: SparseEncoder
    device: torch.device

    def queries(self, texts: list[str]) -> scipy.sparse.csr_matrix:
        """Return float32 [queries, vocabulary]."""
        return _rows(self.model.encode_query, texts, self.model.similarity_fn_name == "cosine")

    def documents(self, texts: list[str]) -> scipy.sparse.csr_matrix:
        """Return float32 [vocabulary, documents]."""
        return _rows(self.model.encode_document, texts, self.model.similarity_fn_name == "cosine").T.tocsr()

    def scores(self, queries: scipy.sparse.csr_matrix, block: scipy.sparse.csr_matrix) -> torch.Tensor:
        """Return dot products, float32 [queries, documents], on the device."""
        # Over the words of the query alone, on the processor: far less work than a dense product on an accelerator.
        scores = torch.from_numpy((queries @ block).toarray()).to(self.device)
        return torch.where(scores > 0, scores, -torch.inf)

    def packed(self, block: scipy.sparse.csr_matrix) -> bytes:
        """Return the bytes of a .npz file."""
        return _bytes(lambda file, matrix: scipy.sparse.save_npz(file, matrix, compressed=False), block)

    def unpacked(self, path: Path) -> scipy.sparse.csr_matrix:
        """Return the block."""
        return scipy.sparse.load_npz(path)


def load_encoder(kind: str, name: str, device: torch.device | None = None) -> Encoder:
    """Load a ``bi-encoder`` or a ``sparse`` encoder with float32 weights.

    Args:
        kind: which of the two.
        name: a name of ``cedistill ls backbones`` whose weights are an encoder, a Hub id or a folder.
        device: by default an accelerator if there is one.

    Raises:
        InputError: no such model, or one that sentence-transformers cannot load as that kind.
    """
    source = encoder_source(kind, name)
    device = device or default_device()
    loader: Any = SentenceTransformer if kind == BI_ENCODER else SparseEncoder
    try:
        with quiet():
            model = loader(
                source.path,
                device=str(device),
                local_files_only=source.local_only,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"{source.path}: expected a {kind} that sentence-transformers loads, found {shown(reason, 160)}; "
            "check that its files are there and whole"
        ) from error
    model.float().eval()
    if kind == BI_ENCODER:
        return Dense(model, device)
    if extra_file(source, "modules.json") is None and any(isinstance(part, SparseAutoEncoder) for part in model):
        raise InputError(
            f"{name}: expected a sparse encoder, found neither modules.json nor a masked-language head; "
            f"give a sparse encoder, or use it as {BI_ENCODER}:{name}"
        )
    if model.similarity_fn_name not in ("dot", "cosine"):
        raise InputError(
            f"{name}: expected a sparse encoder compared by dot or cosine, found {model.similarity_fn_name!r}; "
            "give another model"
        )
    return Sparse(model, device)


def encoder_source(kind: str, name: str) -> Source:
    """Return where an encoder is loaded from. Raises InputError, as ``find_source`` does."""
    folder = Path(name).expanduser()
    if (folder / "modules.json").is_file():  # the configuration may lie with the modules
        return Source(str(folder))
    try:
        return find_source(name)
    except InputError as error:
        raise InputError(f"{kind}:{name}: {error}") from None


def encoder_identity(source: Source) -> str | None:
    """Return what tells an encoder from others: the hash of a folder's files, or the commit of what the Hub gave.

    None while the Hub's files are not here yet.
    """
    folder = Path(source.path)
    if folder.is_dir():
        hashes = [f"{path.relative_to(folder)} {sha256(path)}" for path in model_files(folder)]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    found = huggingface_hub.try_to_load_from_cache(source.path, "config.json")
    return f"{source.path} {Path(found).parent.name}" if isinstance(found, str) else None


def _rows(encode: Any, texts: Sequence[str], unit: bool) -> scipy.sparse.csr_matrix:
    """Encode texts of like length together, drop the zeros, and give the rows [texts, vocabulary] in their order."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    parts = []
    for start in range(0, len(texts), _SPARSE_ROWS):
        some = [texts[place] for place in order[start : start + _SPARSE_ROWS]]
        vectors = encode(some, convert_to_sparse_tensor=False, show_progress_bar=False).float()
        if unit:
            vectors = torch.nn.functional.normalize(vectors)
        row, column = vectors.nonzero(as_tuple=True)
        found = vectors[row, column].cpu().numpy(), (row.cpu().numpy(), column.cpu().numpy())
        parts.append(scipy.sparse.csr_matrix(found, shape=tuple(vectors.shape), dtype=np.float32))
    return scipy.sparse.vstack(parts, format="csr")[np.argsort(order, kind="stable")]


def _bytes(save: Any, block: Any) -> bytes:
    file = io.BytesIO()
    save(file, block)
    return file.getvalue()
