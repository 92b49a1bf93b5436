import subprocess
import sys

import pytest

from cedistill.model import memory
from cedistill.model.memory import keep_freed_memory

FAULTS = """
import resource, torch
from cedistill.model.memory import keep_freed_memory
{call}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        torch.ones(12_000_000)  # above 32 MB, glibc by itself always asks the system
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="needs glibc")
def test_freed_memory_is_kept():
    def count(call):
        command = [sys.executable, "-c", FAULTS.format(call=call)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert count("keep_freed_memory()") < 0.1 * count("")


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory.__wrapped__() is False
