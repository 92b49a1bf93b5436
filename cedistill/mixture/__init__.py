"""Several teachers at once: how much each counts for each query, calibrated scores, and a learned gate."""

from cedistill.mixture.weights import agreement, get_weighting, random, uniform, weighting_names

__all__ = ["agreement", "get_weighting", "random", "uniform", "weighting_names"]
