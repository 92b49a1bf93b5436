"""Where generated files that can always be made again are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the cache: the folder that ``CEDISTILL_CACHE`` names, else the user's cache folder."""
    own = os.environ.get("CEDISTILL_CACHE")
    if own:
        return Path(own)
    from platformdirs import user_cache_path

    return user_cache_path("cedistill")
