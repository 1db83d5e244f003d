"""The space-point table for jobs that do not read files with trkx."""

from __future__ import annotations

from typing import Any

import acts
import acts.arrow
import acts.examples
import numpy as np

from trkx.io.event_tables import table_of_columns

__all__ = ["SpacePointsToTable", "addSpacePointTable"]


class SpacePointsToTable(acts.examples.IAlgorithm):
    """Put space points as columns on the whiteboard.

    `trkx.io`'s readers do so themselves; this is for space points made in the same job, by
    ACTS' simulation for example. The source links are asked one by one, 4 µs per space point.
    """

    def __init__(
        self,
        inputSpacePoints: str,
        outputSpacePointTable: str = "spacepoint_table",
        inputClusters: str | None = None,
        level: Any = acts.logging.WARNING,
    ) -> None:
        """Create the algorithm.

        Args:
            inputSpacePoints: whiteboard key of the space points.
            outputSpacePointTable: key of the `acts.arrow.ArrowTable` with columns
                `measurement_id`, `geometry_id`, `x`, `y`, `z` (mm) and, with clusters,
                `clus_size_loc0` and `clus_size_loc1` (channels).
            inputClusters: key of the clusters, one per measurement.
            level: log level.
        """
        acts.examples.IAlgorithm.__init__(self, "SpacePointsToTable", level)
        examples = acts.examples
        self._spacePoints = examples.ReadDataHandle(
            self, acts.SpacePointContainer, "InputSpacePoints"
        )
        self._spacePoints.initialize(inputSpacePoints)
        self._clusters = None
        if inputClusters:
            self._clusters = examples.ReadDataHandle(
                self, examples.ClusterContainer, "InputClusters"
            )
            self._clusters.initialize(inputClusters)
        self._table = examples.WriteDataHandle(self, acts.arrow.ArrowTable, "OutputSpacePointTable")
        self._table.initialize(outputSpacePointTable)

    def execute(self, context: Any) -> Any:
        """Make the table of one event."""
        store = context.eventStore
        points: Any = self._spacePoints(store)
        from_link = acts.examples.IndexSourceLink.fromSourceLink
        # A strip space point has two measurements; the first stands for it, as in ACTS.
        links = [from_link(next(iter(point.sourceLinks))) for point in points]
        columns: dict[str, np.ndarray] = {
            "measurement_id": np.array([link.index() for link in links], dtype=np.uint32),
            "geometry_id": np.array([link.geometryId().value for link in links], dtype=np.uint64),
        }
        for axis in "xyz":
            values = getattr(points, axis)
            columns[axis] = np.array(values() if callable(values) else values, dtype=np.float32)
        if self._clusters is not None:
            clusters: Any = self._clusters(store)
            used = [clusters[int(i)] for i in columns["measurement_id"]]
            columns["clus_size_loc0"] = np.array([c.sizeLoc0 for c in used], dtype=np.float32)
            columns["clus_size_loc1"] = np.array([c.sizeLoc1 for c in used], dtype=np.float32)
        self._table(context, table_of_columns(columns))
        return acts.examples.ProcessCode.SUCCESS


def addSpacePointTable(
    s: Any,
    inputSpacePoints: str = "spacepoints",
    outputSpacePointTable: str = "spacepoint_table",
    inputClusters: str | None = "clusters",
    logLevel: Any = None,
) -> Any:
    """Put the space points of the same job as columns on the whiteboard.

    Args:
        s: the sequencer.
        inputSpacePoints: whiteboard key of the space points.
        outputSpacePointTable: key of the table.
        inputClusters: key of the clusters, None: without cluster sizes.
        logLevel: level of the algorithm.

    Returns:
        the sequencer.
    """
    s.addAlgorithm(
        SpacePointsToTable(
            inputSpacePoints,
            outputSpacePointTable,
            inputClusters,
            level=logLevel or acts.logging.WARNING,
        )
    )
    return s
