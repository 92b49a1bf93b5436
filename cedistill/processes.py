"""Several processes of one run, as torchrun and accelerate start them: who is first, waiting, answers, failures."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

_PATIENCE = timedelta(hours=2)  # one process may download and read data for long while the others wait
_FAILED = "cedistill/failed"
_stores: list[Any] = []


def count() -> int:
    """Return the number of processes of this run; 1 without a launcher."""
    return _of_launcher("WORLD_SIZE", 1)


def number() -> int:
    """Return the number of this process, counted from 0."""
    return _of_launcher("RANK", 0)


def is_first() -> bool:
    """Return whether this process is the one that writes files and prints."""
    return number() == 0


def start() -> None:
    """Connect the processes of this run; nothing happens where there is one, or where they are connected already."""
    if count() == 1:
        return
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(_of_launcher("LOCAL_RANK", 0))
        backend = "cpu:gloo,cuda:nccl"
    store, _, _ = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    _stores.append(distributed.PrefixStore("cedistill", store))
    distributed.init_process_group(backend, store=store, rank=number(), world_size=count(), timeout=_PATIENCE)


def stop() -> None:
    """Part in peace, at the end of the work of all processes."""
    if _stores:
        from torch import distributed

        _stores.clear()
        distributed.destroy_process_group()


def wait() -> None:
    """Return when every process has come here."""
    total(0)


def total(value: int) -> int:
    """Return the sum of every process's value, in every process."""
    if count() == 1:
        return value
    import torch
    from torch import distributed

    summed = torch.tensor(value, dtype=torch.int64)
    distributed.all_reduce(summed)
    return int(summed)


def gathered(value: Value) -> list[Value]:
    """Return every process's value, by number, in the first process; an empty list in the others."""
    if count() == 1:
        return [value]
    from torch import distributed

    values: list[Any] | None = [None] * count() if is_first() else None
    distributed.gather_object(value, values)
    return values or []


def answer_of_first(work: Callable[[], Value]) -> Value:
    """Return, in every process, what ``work`` gives in the first one, or raise what it raises there."""
    if count() == 1:
        return work()
    from torch import distributed

    answer: list[Any] = [None, None]
    if is_first():
        try:
            answer[0] = work()
        except Exception as error:
            answer[1] = error
    distributed.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Let the first process of each machine do some work before its others, who then find files that it made."""
    first = _of_launcher("LOCAL_RANK", 0) == 0
    if not first:
        wait()
    yield
    if first:
        wait()


def failing(status: int, message: str) -> tuple[bool, int]:
    """Tell the other processes that this one is about to fail.

    Returns:
        Whether this process is the one to report it, and the exit status for this process: that of the process that
        failed first, whose end is what the others fail of.
    """
    if count() == 1:
        return True, status
    if not _stores:  # before they were connected all processes of a machine did the same, and fail alike
        return _of_launcher("LOCAL_RANK", 0) == 0, status
    mine = json.dumps({"process": number(), "status": status, "message": message})
    try:
        found = json.loads(_stores[0].compare_set(_FAILED, "", mine))
    except (RuntimeError, ValueError):  # the process that keeps the notes is gone: it failed, and said so
        return False, status
    return found["process"] == number(), int(found["status"])


def _of_launcher(name: str, otherwise: int) -> int:
    # A scheduler may set WORLD_SIZE alone, for every command it runs: only both say that a launcher is at work.
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return otherwise
    return int(os.environ.get(name, otherwise))


def silence_others() -> None:
    """Let only the first process write to standard output."""
    if not is_first():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the process ends
