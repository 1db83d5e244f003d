"""Events cut into sectors keep every hit once, with its truth."""

from __future__ import annotations

import numpy as np
import pytest

from trkx.plugin.training.sectors import SectorEvents, sectors


@pytest.mark.parametrize(("n", "first"), [(1, 0.0), (4, 0.0), (5, 0.3)])
def test_every_hit_is_in_one_sector(toy_events, n, first):
    event = toy_events[0]
    parts = list(sectors(event, n, first))
    assert len(parts) == n
    z = np.concatenate([p.space_points.z for p in parts])
    assert sorted(z.tolist()) == sorted(event.space_points.z.tolist())
    assert sum(p.n_hits for p in parts).tolist() == event.n_hits.tolist()
    truth = dict(zip(event.space_points.z.tolist(), np.diff(event.offsets), strict=True))
    for part in parts:
        assert len(part.offsets) == len(part.space_points) + 1
        found = dict(zip(part.space_points.z.tolist(), np.diff(part.offsets), strict=True))
        assert found == {z: truth[z] for z in found}
        phi = np.arctan2(part.space_points.y, part.space_points.x) / (2 * np.pi) * n - first
        assert len(np.unique(np.floor(phi) % n)) == 1


def test_events_of_sectors(toy_events):
    class Events:
        n_chunks, keep = 2, False

        def __len__(self):
            return 4

        def __iter__(self):
            return iter(toy_events[:4])

        def chunk(self, number):
            return toy_events[2 * number : 2 * number + 2]

    cut = SectorEvents(Events(), 3)
    assert (len(cut), cut.n_chunks, cut.keep) == (12, 2, False)
    assert len(list(cut)) == 12 and len(list(cut.chunk(1))) == 6
