"""The Hub: whether it answers, and as whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from cedistill.doctor.finding import LACKS, OK, Finding

SECONDS = 3.0


def hub() -> Iterator[Finding]:
    """Yield whether the Hub can be reached within a few seconds, and whether there is a token."""
    from huggingface_hub import get_token
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    token = "a token is set" if get_token() else "no token"
    if HF_HUB_OFFLINE:
        cure = "unset HF_HUB_OFFLINE to download what is not in the cache"
        yield Finding("hub", ENDPOINT, LACKS, f"not asked: HF_HUB_OFFLINE is set; {token}", cure)
        return
    said = _answer(ENDPOINT)
    if not said:
        yield Finding("hub", ENDPOINT, OK, f"answers; {token}")
        return
    cure = (
        "work with what is in the cache (HF_HUB_OFFLINE=1 saves waiting), give models as folders, or set HF_ENDPOINT "
        "to a mirror; the studies demo and trec-dl and the micro backbones need no Hub"
    )
    yield Finding("hub", ENDPOINT, LACKS, f"{said}; {token}", cure)


def _answer(address: str) -> str:
    """Return why an address does not answer, "" when it does; takes no more than ``SECONDS``, whatever hangs."""
    import requests

    said = [f"no answer in {SECONDS:g} seconds"]

    def ask() -> None:
        try:
            requests.head(address, timeout=SECONDS)
            said.append("")
        except (requests.RequestException, OSError) as error:
            said.append(f"cannot be reached ({type(error).__name__})")

    # The look-up of a name has no timeout of its own, so the thread is left behind if need be.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return said[-1]
