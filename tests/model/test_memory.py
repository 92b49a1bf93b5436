from types import SimpleNamespace

import pytest

from cedistill.model import memory
from cedistill.model.memory import keep_freed_memory

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # as malloc.h has them


@pytest.mark.parametrize("refused", [None, TRIM_THRESHOLD])
def test_glibc_is_told_to_keep_large_blocks(refused, monkeypatch):
    told = {}

    def mallopt(name, value):
        told[name] = value
        return int(name != refused)

    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    assert keep_freed_memory.__wrapped__() is (refused is None)
    assert set(told) == {TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD}
    assert min(told[TRIM_THRESHOLD], told[MMAP_THRESHOLD]) >= 2**30  # larger than any tensor of a pass
    assert max(told.values()) < 2**31  # a C int


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory.__wrapped__() is False
