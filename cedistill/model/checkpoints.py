"""Where a checkpoint lies (folder, installed package, Hub or its cache), and loading it without long waits."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError
from tokenizers.normalizers import BertNormalizer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from cedistill.errors import InputError, shown, unknown
from cedistill.model.backbones import BACKBONES

PROBE_SECONDS = 10.0
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Source:
    """What transformers loads: a folder or Hub id, the revision of its weights, and whether to stay off the net."""

    path: str
    weights_revision: str | None = None
    local_only: bool = True


def find_source(name: str) -> Source:
    """Return where a backbone's name, a Hub id or a folder is loaded from; asks the Hub at most one short question.

    Raises:
        InputError: nothing of this name, or it cannot be reached.
    """
    backbone = BACKBONES.get(name)
    if backbone is not None:
        packaged = _packaged(backbone.package, backbone.sha256)
        if packaged is not None:
            return Source(str(packaged))
        if backbone.hub_id is not None:
            return _on_hub(backbone.hub_id)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{name}: expected a model's folder, found no config.json there; give the folder of one")
        return Source(str(folder))
    if folder.exists():
        raise InputError(f"{name}: expected a model's folder, found a file; give the folder that holds config.json")
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        return _on_hub(name)
    if os.sep in name or name.startswith((".", "~")):
        raise InputError(f"{name}: expected a model's folder, found nothing there; check the path")
    raise InputError(f"{unknown('backbone', name, BACKBONES)}; or give a Hub id (owner/name) or a folder")


def _packaged(package: str | None, sha256: str | None) -> Path | None:
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / WEIGHTS[0]
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and found != sha256:
        raise InputError(f"{weights}: expected sha256 {sha256}, found {found}; install {package} again")
    return folder


def _on_hub(hub_id: str) -> Source:
    revision = _cached_weights(hub_id)
    if revision is not None:
        return Source(hub_id, revision)
    _probe(hub_id)
    return Source(hub_id, local_only=False)


def _cached_weights(hub_id: str) -> str | None:
    """Return the cached revision that holds safetensors; for old repositories it is the converter's pull request."""
    try:
        if not isinstance(huggingface_hub.try_to_load_from_cache(hub_id, "config.json"), str):
            return None
    except HFValidationError:
        return None
    references = Path(huggingface_hub.constants.HF_HUB_CACHE, f"models--{hub_id.replace('/', '--')}", "refs")
    revisions = ["main", *(str(path.relative_to(references)) for path in sorted(references.glob("refs/pr/*")))]
    for revision in revisions:
        if any(
            isinstance(huggingface_hub.try_to_load_from_cache(hub_id, file, revision=revision), str) for file in WEIGHTS
        ):
            return revision
    return None


def _probe(hub_id: str) -> None:
    """Ask the Hub once, without repeats: left to itself, transformers retries each file for over twenty seconds."""
    elsewhere = "give a name of `cedistill ls backbones`, a Hub id (owner/name) or a folder"
    try:
        url = huggingface_hub.hf_hub_url(hub_id, "config.json")
        huggingface_hub.get_hf_file_metadata(url, timeout=PROBE_SECONDS)
    except HFValidationError:
        raise InputError(f"expected a backbone, found {shown(hub_id)}, which is no Hub id; {elsewhere}") from None
    except OfflineModeIsEnabled:
        raise InputError(
            f"expected {hub_id} in the cache, found it absent with HF_HUB_OFFLINE set; "
            f"unset it, or download first: hf download {hub_id}"
        ) from None
    except GatedRepoError:
        raise InputError(
            f"expected access to {hub_id}, found it gated; accept its terms on the Hub and log in"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(f"expected a backbone, found no {hub_id} on the Hub; {elsewhere}") from None
    except RemoteEntryNotFoundError:
        raise InputError(f"expected an encoder, found {hub_id} on the Hub without config.json; {elsewhere}") from None
    except (HfHubHTTPError, OSError, huggingface_hub.utils.httpx.HTTPError) as error:
        raise InputError(
            f"expected {hub_id} from the Hub, found it out of reach ({shown(str(error).splitlines()[0])}); "
            f"connect, or download it elsewhere and give its folder (hf download {hub_id} --local-dir FOLDER)"
        ) from None


def load_tokenizer(source: Source, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a checkpoint.

    Raises:
        InputError: it cannot be loaded.
    """
    with quiet(), _input_errors(source, "a tokenizer"):
        return AutoTokenizer.from_pretrained(
            source.path, local_files_only=source.local_only, trust_remote_code=trust_remote_code
        )


def lower_cased(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return the tokenizer with a normaliser that lower-cases, also once saved and loaded again."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is None or normalizer.normalize_str("Ab") != "ab":
        tokenizer.backend_tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.init_kwargs["do_lower_case"] = True
    tokenizer.do_lower_case = True
    return tokenizer


def load_classifier(source: Source, *, trust_remote_code: bool = False) -> tuple[PreTrainedModel, bool]:
    """Return the one-logit classifier with float32 weights, and whether all of its weights came from the checkpoint.

    Raises:
        InputError: the checkpoint has a head of several logits, or cannot be loaded.
    """
    shared: dict[str, Any] = {"local_files_only": source.local_only, "trust_remote_code": trust_remote_code}
    with quiet(), _input_errors(source, "an encoder with safetensors weights"):
        config = AutoConfig.from_pretrained(source.path, **shared)
        _check_head(source, config)
        config.num_labels = 1
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.path,
            config=config,
            revision=source.weights_revision or "main",
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **shared,
        )
    return model.eval(), not info["missing_keys"]


def extra_file(source: Source, name: str) -> Path | None:
    """Return a file that a checkpoint may have beside its weights, None where it has none."""
    found = cached_file(
        source.path,
        name,
        local_files_only=source.local_only,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def _check_head(source: Source, config: PretrainedConfig) -> None:
    architecture = next(iter(config.architectures or []), "")
    if architecture.endswith("ForSequenceClassification") and config.num_labels != 1:
        raise InputError(
            f"{source.path}: expected a checkpoint with one logit or without a head, "
            f"found {architecture} with {config.num_labels}; give the encoder it was made from"
        )


@contextmanager
def _input_errors(source: Source, expected: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        cure = "check that config.json, model.safetensors and the tokenizer's files are there and whole"
        if "tiktoken" in reason or "sentencepiece" in reason.lower():
            # What transformers tries last, and names, when the packages to read a spm.model are missing.
            reason = "one that only sentencepiece and protobuf can read"
            cure = "install them: pip install sentencepiece protobuf"
        raise InputError(f"{source.path}: expected {expected}, found {shown(reason, 160)}; {cure}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep reports of new heads and bars of loading and saving off the terminal; bars of downloads stay."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    huggingface_hub.utils.enable_progress_bars()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
