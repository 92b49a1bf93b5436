"""Devices and kernels: what models run on, and how fast."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from cedistill.doctor.finding import BROKEN, LACKS, OK, Finding

_OLDEST_FOR_FLASH = (8, 0)  # Ampere


def processors() -> Iterator[Finding]:
    """Yield the processor, its arithmetic in bfloat16, and its memory."""
    import torch

    name, flags = _processor()
    threads = f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    yield Finding("devices", "processor", OK, f"{name}; {threads}; {_memory()}")
    fast = sorted(flags & {"amx_bf16", "avx512_bf16", "bf16"})
    if fast:
        yield Finding("kernels", "bf16 on the processor", OK, ", ".join(fast))
    else:
        cure = "none is needed: precision 'auto' measures and takes float32; on a GPU or a newer processor it is faster"
        yield Finding("kernels", "bf16 on the processor", LACKS, "no bfloat16 instructions", cure)


def accelerators() -> Iterator[Finding]:
    """Yield the GPUs, and whether torch was built for them."""
    import torch

    if not torch.cuda.is_available():
        if torch.backends.mps.is_available():
            yield Finding("devices", "GPU", OK, "Apple GPU (mps)")
            return
        build = torch.version.cuda or torch.version.hip
        if shutil.which("nvidia-smi") or shutil.which("rocm-smi"):
            cure = (
                "install the build of torch for this driver (pytorch.org/get-started)"
                if build is None
                else "check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES"
            )
            found = f"a driver is here, torch {torch.__version__} sees no device"
            yield Finding("devices", "GPU", BROKEN, found, cure)
        else:
            cure = "models of the size of MiniLM train here in minutes to hours; larger ones want a CUDA GPU"
            yield Finding("devices", "GPU", LACKS, f"none (torch {torch.__version__})", cure)
        return
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, compute capability {about.major}.{about.minor}"
        yield Finding("devices", f"GPU {index}", OK, f"{found}; torch {torch.__version__}")


def kernels() -> Iterator[Finding]:
    """Yield whether attention without padding and compilation are there."""
    import torch

    varlen = find_spec("torch.nn.attention.varlen") is not None
    new_enough = torch.cuda.is_available() and torch.cuda.get_device_capability() >= _OLDEST_FOR_FLASH
    if varlen and new_enough:
        yield Finding("kernels", "attention without padding", OK, "torch.nn.attention.varlen")
    else:
        found = f"torch {torch.__version__} has no varlen_attn" if not varlen else "it needs a GPU from Ampere on"
        cure = (
            "none is needed: pairs of like length are batched in its place" if varlen else "install torch 2.10 or newer"
        )
        yield Finding("kernels", "attention without padding", LACKS, found, cure)
    compiler = next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if torch.cuda.is_available():
        triton = find_spec("triton") is not None
        cure = "" if triton else "pip install triton"
        yield Finding("kernels", "torch.compile", OK if triton else LACKS, "triton" if triton else "no triton", cure)
    else:
        cure = "" if compiler else "install a C++ compiler (apt-get install g++)"
        yield Finding("kernels", "torch.compile", OK if compiler else LACKS, compiler or "no C++ compiler", cure)


def _processor() -> tuple[str, set[str]]:
    """Return the processor's name and what it can do, as far as Linux tells."""
    try:
        lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, value in reversed(lines)}
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name") or platform.processor() or platform.machine(), set(flags.split())


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{total / 2**30:.0f} GiB of memory"
