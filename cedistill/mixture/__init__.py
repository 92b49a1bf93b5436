"""Several teachers at once: how much each counts for each query, calibrated scores, and a learned gate."""

from cedistill.mixture.calibrators import Calibrators, specialisation_loss
from cedistill.mixture.gate import Gate, query_features
from cedistill.mixture.loss import MixtureLoss, Signals
from cedistill.mixture.weights import agreement, get_weighting, random, uniform, weighting_names

__all__ = [
    "Calibrators",
    "Gate",
    "MixtureLoss",
    "Signals",
    "agreement",
    "get_weighting",
    "query_features",
    "random",
    "specialisation_loss",
    "uniform",
    "weighting_names",
]
