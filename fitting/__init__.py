"""Start parameters, Kalman and global chi2 fits of found tracks."""

from trkx.fitting.fit_summary import FitCounts, FitSummary, FitSummaryAlgorithm
from trkx.fitting.start_parameters import ProtoTracksToSpacePointSeeds, addStartParameters
from trkx.fitting.track_fits import (
    GlobalChi2Settings,
    KalmanSettings,
    addGlobalChi2Fit,
    addKalmanFit,
    addRefit,
)

__all__ = [
    "FitCounts",
    "FitSummary",
    "FitSummaryAlgorithm",
    "GlobalChi2Settings",
    "KalmanSettings",
    "ProtoTracksToSpacePointSeeds",
    "addGlobalChi2Fit",
    "addKalmanFit",
    "addRefit",
    "addStartParameters",
]
