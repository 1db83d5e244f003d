"""The pipeline for strips of two clusters, as it is shipped."""

import pytest

pytest.importorskip("torch")

from trkx.plugin.load import load_pipeline, two_hits


def test_it_loads_and_shares_out_clusters():
    pipeline = load_pipeline("strips")
    assert pipeline.shared_clusters.config.max_tracks == 1
    found = pipeline(two_hits(8, 2))
    assert len(found) == 0 and found.n_space_points == 2
    assert "shared_clusters" in found.timing
    assert pipeline.edge_classifiers[0].network.padded == 4
