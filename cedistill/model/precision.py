"""float32 or bfloat16 autocast: which is faster on this machine is measured once and remembered.

On a GPU, float32 means float32 numbers with TF32 matrix products; ``NVIDIA_TF32_OVERRIDE=0`` forbids those.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from cedistill.cache import cache_folder
from cedistill.errors import InputError, unknown

logger = logging.getLogger(__name__)

PRECISIONS = ("float32", "bf16")
FILE = "precision.json"
MARGIN = 0.9
"""bf16 is taken when it needs less than this share of float32's time: it costs exactness."""
BUDGET_SECONDS = 1.0
REPEATS = 7
TOKENS = {"cpu": (8, 64), "cuda": (256, 128)}
"""Pairs and their length; with few tokens a GPU would spend its time on starting kernels, whatever the precision."""
HEAD_WIDTH = 32


def choose_precision(request: str, device: torch.device | str, width: int = 384) -> str:
    """Return ``float32`` or ``bf16``.

    ``auto`` measures forward and backward passes of an encoder layer in both, once for each device, torch
    version and width, and remembers the answer in the cache folder. Where the answer is ``float32`` and the device a
    GPU, its matrix products are switched to TF32.

    Args:
        request: ``auto``, ``float32`` or ``bf16``; the latter two are given back.
        device: where the model runs.
        width: the encoder's hidden size; narrow ones lose more by conversion than they gain.

    Raises:
        InputError: another request.
    """
    if request != "auto" and request not in PRECISIONS:
        raise InputError(unknown("precision", request, ["auto", *PRECISIONS]))
    device = torch.device(device)
    precision = _measured_once(device, width) if request == "auto" else request
    if precision == "float32" and device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    return precision


def _measured_once(device: torch.device, width: int) -> str:
    key = f"{_model_of(device)} | torch {torch.__version__} | width {width}"
    path = cache_folder() / FILE
    remembered = _remembered(path)
    if remembered.get(key) not in PRECISIONS:
        remembered[key] = measure_precision(device, width)
        _remember(path, remembered)
    return remembered[key]


def autocast(precision: str, device: torch.device | str) -> AbstractContextManager[object]:
    """Return the context in which a model runs in ``float32`` (nothing changes) or ``bf16``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def measure_precision(device: torch.device, width: int = 384) -> str:
    """Return the faster precision for an encoder layer's forward and backward pass; takes a second at most, about."""
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # as float32 would run
        # On a busy processor several threads mostly wait for each other, which hides the arithmetic.
        torch.set_num_threads(1)
        seconds = _medians(device, width)
    except RuntimeError as error:  # a device without bfloat16
        logger.info("bf16 does not run on %s: %s", device, error)
        return "float32"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(products)
    logger.info("%s: an encoder layer takes %s seconds", device, seconds)
    return "bf16" if seconds["bf16"] < MARGIN * seconds["float32"] else "float32"


def _medians(device: torch.device, width: int) -> dict[str, float]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        heads = max(1, width // HEAD_WIDTH)
        width = heads * HEAD_WIDTH
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True)
        layer.to(device)
        hidden = torch.randn(*TOKENS.get(device.type, TOKENS["cuda"]), width, device=device)
    times: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    end = time.perf_counter() + BUDGET_SECONDS
    for repeat in range(REPEATS):
        # In turns, so that another program's load falls on both.
        for precision in PRECISIONS:
            taken = _step_seconds(layer, hidden, precision)
            if repeat:  # the first is warm-up
                times[precision].append(taken)
        if repeat and time.perf_counter() > end:
            break
    return {precision: statistics.median(values) for precision, values in times.items()}


def _step_seconds(layer: nn.Module, hidden: Tensor, precision: str) -> float:
    start = _now(hidden.device)
    with torch.enable_grad(), autocast(precision, hidden.device):
        output = layer(hidden)
    output.float().sum().backward()
    return _now(hidden.device) - start


def _now(device: torch.device) -> float:
    if device.type == "cpu":
        return time.thread_time()  # other programs' load does not count
    torch.accelerator.synchronize(device)
    return time.perf_counter()


def _model_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{device.type} {platform.machine()}"
    # A virtual machine's model name may be as vague as "AMD EPYC": what counts are its bfloat16 instructions.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16"} & set(
        (facts.get("flags") or facts.get("Features") or "").split()
    )
    return " ".join([facts.get("model name") or platform.processor() or platform.machine(), *sorted(flags)])


def _remembered(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(path: Path, content: dict[str, str]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(path)
    except OSError as error:
        logger.info("%s could not be written, precision is measured again next time: %s", path, error)
