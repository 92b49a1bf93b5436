"""Per-query values of models over one or several data sets, and how much each query counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Strata:
    """The data sets behind a figure: how many queries each has, and its share in the mean.

    Queries stand data set after data set. A figure over one data set is ``Strata((n,), (1.0,))``; a mean over data sets
    is no mean over their queries together, unless they are equally many.
    """

    sizes: tuple[int, ...]
    shares: tuple[float, ...]

    @property
    def slices(self) -> list[slice]:
        """The places of each data set's queries."""
        ends = np.cumsum(self.sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]

    @property
    def weights(self) -> np.ndarray:
        """[Q] what each query adds to the figure; they sum to 1."""
        per_query = [share / size for share, size in zip(self.shares, self.sizes, strict=True)]
        return np.repeat(per_query, self.sizes)


def one_stratum(queries: int) -> Strata:
    """Return the strata of a single data set."""
    return Strata((queries,), (1.0,))
