"""Track finding: graph construction, edge classification and track building.

Knows nothing of ACTS; torch and numba are loaded only by the stages that use them.
"""

from trkx.plugin.candidates import TrackCandidates
from trkx.plugin.load import load_pipeline
from trkx.plugin.pipeline import Pipeline
from trkx.plugin.space_points import LabelledEvent, SpacePoints
from trkx.plugin.stages import EdgeClassifier, GraphConstructor, TrackBuilder

__all__ = [
    "EdgeClassifier",
    "GraphConstructor",
    "LabelledEvent",
    "Pipeline",
    "SpacePoints",
    "TrackBuilder",
    "TrackCandidates",
    "load_pipeline",
]
