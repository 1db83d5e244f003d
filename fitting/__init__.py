"""Start parameters, helix, Kalman and global chi2 fits of found tracks."""

from trkx.fitting.fit_summary import FitCounts, FitSummary, FitSummaryAlgorithm
from trkx.fitting.helix_algorithm import addHelixFit
from trkx.fitting.helix_fit import FitStatus, HelixFits, HelixFitSettings, fit_helices
from trkx.fitting.helix_points import TrackPoints, cylinder_covariance, plane_covariance
from trkx.fitting.measured_points import SpacePointErrors
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
    "FitStatus",
    "FitSummary",
    "FitSummaryAlgorithm",
    "GlobalChi2Settings",
    "HelixFitSettings",
    "HelixFits",
    "KalmanSettings",
    "ProtoTracksToSpacePointSeeds",
    "SpacePointErrors",
    "TrackPoints",
    "addGlobalChi2Fit",
    "addHelixFit",
    "addKalmanFit",
    "addRefit",
    "addStartParameters",
    "cylinder_covariance",
    "fit_helices",
    "plane_covariance",
]
