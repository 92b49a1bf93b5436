"""Memory of passes on a processor: kept by the process between passes, not returned and asked for again."""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of glibc's mallopt
_KEPT = 2**31 - 1
_GROWTH = 2**26


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep what tensors free; return whether it does. The process holds its peak from then on.

    A pass frees and takes tensors of megabytes by the dozen; each that goes back to the system and comes again is
    cleared page by page, which took a tenth of a training step. An allocator other than glibc's has its own ways.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, _KEPT), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _GROWTH))
    return sum(mallopt(name, value) for name, value in settings) == len(settings)  # 1 is success
