"""The finder `truth`: the measurements of each target particle as one proto track."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.algorithms.spacepoint_columns import row_of_measurement, table_columns
from trkx.algorithms.track_hits import TrackHits, make_proto_tracks

__all__ = ["TrackFindingAlgorithmTruth", "TruthSelection", "order_outward"]


@dataclass(frozen=True)
class TruthSelection:
    """Particles that become tracks: the targets of the efficiency."""

    ptMin: float = 1.0
    """lowest transverse momentum, GeV"""
    absEtaMax: float = 4.0
    minMeasurements: int = 7

    def accepts(self, particle: Any) -> bool:
        """Whether an `acts.examples.SimParticle` is charged and within the kinematic limits."""
        if particle.charge == 0 or particle.transverseMomentum <= self.ptMin:
            return False
        theta = particle.theta
        # A particle along the beam line has no finite pseudorapidity.
        return 0 < theta < math.pi and abs(math.log(math.tan(theta / 2))) < self.absEtaMax


class TrackFindingAlgorithmTruth(acts.examples.IAlgorithm):
    """Make proto tracks from the truth: perfect finding, so that what is left is the fit's.

    A measurement that several particles share is on the track of each.
    """

    def __init__(
        self,
        inputParticles: str = "particles",
        inputParticleMeasurementsMap: str = "particle_measurements_map",
        inputSpacePointTable: str = "spacepoint_table",
        outputProtoTracks: str = "truth_proto_tracks",
        selection: TruthSelection | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputParticles: whiteboard key of the simulated particles.
            inputParticleMeasurementsMap: key of the measurements of each particle.
            inputSpacePointTable: key of the `acts.arrow.ArrowTable` with columns
                `measurement_id`, `x`, `y`, `z` (mm), by which hits are ordered.
            outputProtoTracks: key of the proto tracks, hits ordered outward.
            selection: which particles; default `TruthSelection()`.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "TrackFindingAlgorithmTruth", level)
        examples = acts.examples
        self._particles = examples.ReadDataHandle(
            self, examples.SimParticleContainer, "InputParticles"
        )
        self._particles.initialize(inputParticles)
        self._map = examples.ReadDataHandle(
            self, examples.ParticleMeasurementsMap, "InputParticleMeasurementsMap"
        )
        self._map.initialize(inputParticleMeasurementsMap)
        self._table = examples.ReadDataHandle(self, acts.arrow.ArrowTable, "InputSpacePointTable")
        self._table.initialize(inputSpacePointTable)
        self._output = examples.WriteDataHandle(
            self, examples.ProtoTrackContainer, "OutputProtoTracks"
        )
        self._output.initialize(outputProtoTracks)
        self._selection = selection or TruthSelection()

    def execute(self, context: Any) -> Any:
        """Make the proto tracks of one event."""
        store = context.eventStore
        truth = self._map(store)
        columns = table_columns(self._table(store), ("measurement_id", "x", "y", "z"))
        row_of = row_of_measurement(columns["measurement_id"])
        positions = np.stack([columns[axis] for axis in "xyz"], axis=1)
        offsets = [0]
        measurements: list[np.ndarray] = []
        for particle in self._particles(store):
            if not self._selection.accepts(particle):
                continue
            found = np.array(truth.valuesFor(particle.particleId), dtype=np.int64)
            if len(found) < self._selection.minMeasurements:
                continue
            # A measurement without a space point has no place in the order.
            found = found[(found < len(row_of))]
            found = found[row_of[found] >= 0]
            vertex = particle.position
            origin = np.array([vertex[0], vertex[1], vertex[2]])
            measurements.append(found[order_outward(positions[row_of[found]], origin)])
            offsets.append(offsets[-1] + len(found))
        flat = np.concatenate(measurements) if measurements else np.zeros(0, dtype=np.int64)
        self._output(context, make_proto_tracks(TrackHits(np.array(offsets), flat)))
        return acts.examples.ProcessCode.SUCCESS


def order_outward(positions: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the order of hits by distance from where the particle was made.

    Right for the first half turn of a helix, which is all a particle of pT > 0.3 GeV makes
    within the detector.

    Args:
        positions: shape (N, 3), mm.
        origin: shape (3,), production vertex, mm.

    Returns:
        shape (N,), int64; equal distances keep their order.
    """
    return np.argsort(((positions - origin) ** 2).sum(axis=1), kind="stable")
