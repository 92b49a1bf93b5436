"""Which candidates are shown together, in which turn."""

from __future__ import annotations

from cedistill.errors import InputError


def windows(count: int, size: int = 20, stride: int = 10) -> list[tuple[int, int]]:
    """Return the windows of one pass over a query's candidates, from the bottom up.

    The first covers the last ``size`` places; each next one starts ``stride`` places higher, and the last one covers
    the first ``size`` places in full, even where that makes it overlap more.

    Args:
        count: candidates; of fewer than two there is nothing to rank.
        size: places of a window.
        stride: places from one window to the next.

    Returns:
        (first place, place after the last), counted from 0; one window where all candidates fit into it.
    """
    if count < 2:
        return []
    last = max(count - size, 0)
    starts = [*range(last, 0, -stride), 0]
    return [(start, min(start + size, count)) for start in starts]


def check_windows(size: int, stride: int) -> None:
    """Refuse windows that would leave out places. Raises InputError."""
    if size < 2 or not 1 <= stride <= size:
        raise InputError(
            f"expected windows of at least 2 with a stride of 1 to the window's size, found {size} and {stride}; "
            "set --window and --stride"
        )
