"""The machine that is measured: what it is, how fast it multiplies matrices, and whole commands on it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("cedistill", "torch", "transformers", "sentence-transformers", "accelerate", "tokenizers", "numpy")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""``processor`` counts this process's seconds on processors: for a machine that others use meanwhile."""
_clock = ["wall"]
TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def device() -> torch.device:
    """Return the accelerator if there is one, else the processor."""
    from cedistill.model.reranker import default_device

    return default_device()


def describe() -> dict[str, Any]:
    """Return what figures depend on: processor, its threads and load, accelerator, versions."""
    facts: dict[str, str] = {}
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wanted = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"}
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "instructions": sorted(wanted & set(facts.get("flags", "").split())),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def slug(machine: dict[str, Any]) -> str:
    """Return a file's name for a machine."""
    words = machine["gpu"] or f"{machine['processor']} {machine['threads']} threads"
    return "-".join("".join(letter if letter.isalnum() else " " for letter in words.lower()).split())


def matrix_rate(precision: str, size: int | None = None, seconds: float = 0.5) -> float:
    """Return the best rate of matrix products of some size in floating-point operations a second."""
    place = device()
    size = size or (8192 if place.type == "cuda" else 1536)
    left, right = (torch.randn(size, size, device=place, dtype=TYPES[precision]) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = now()
        for _ in range(1 if place.type == "cpu" else 10):
            left @ right
        best = min(best, (now() - start) / (1 if place.type == "cpu" else 10))
    return 2 * size**3 / best


def now() -> float:
    """Return the time by the chosen clock, once the accelerator has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return CLOCKS[_clock[0]]()


def choose_clock(name: str) -> None:
    """Take the clock that all speeds of this process are measured by, a name of ``CLOCKS``."""
    _clock[0] = name


def workers() -> int:
    """Return our loader's workers: none where only this process's seconds count, so that its work is in them."""
    return 0 if _clock[0] == "processor" else 1


def whole_process(command: list[str], **environment: str) -> dict[str, float]:
    """Run a command; return its seconds by the wall clock and on processors, and its peak memory in megabytes.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    # By way of a small process: the peak of a child counts from the fork, when it is as large as its parent.
    process = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    found = json.loads(process.stdout)
    if found.pop("status"):
        raise RuntimeError(f"{' '.join(command)} failed: {process.stderr[-400:]}")
    return dict(found)


_LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = round(used.ru_utime + used.ru_stime, 2)
peak = round(used.ru_maxrss / 1024)
print(json.dumps({"status": status, "seconds": round(seconds, 2), "cpu_seconds": cpu, "peak_mb": peak}))
"""
