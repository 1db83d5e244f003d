"""The contracts of other clients: what they send, and what they get back."""

import urllib.request

import numpy as np
import pytest

from trkx.plugin.errors import ServiceError, SpacePointError
from trkx.plugin.serving.gnn_tracks_model import (
    COLUMNS,
    features_of_points,
    points_of_features,
    track_list,
)
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.transport import Call, connect


@pytest.fixture(scope="module")
def all_models(tmp_path_factory):
    from trkx.plugin.serving.server import ServerConfig, TritonServer

    folder = write_repository(tmp_path_factory.mktemp("models"), RepositoryConfig())
    with TritonServer(ServerConfig(folder, grpc_port=0, http_port=0, metrics_port=0)) as running:
        yield running


def test_features_hold_geometry_identifiers_exactly(events):
    points = events[0]
    again = points_of_features(features_of_points(points), COLUMNS)
    for name in ("x", "y", "z", "geometry_id", "size0", "size1"):
        np.testing.assert_array_equal(getattr(again, name), getattr(points, name))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 5), np.float32), r"shape \(3, 5\); expected \(N, 8\)"),
        (np.full((3, 8), np.nan, np.float32), "NaN"),
        (np.full((3, 8), -1, np.float32), "volume_id is not between 0 and 255"),
    ],
)
def test_features_that_are_wrong(features, message):
    with pytest.raises(SpacePointError, match=message):
        points_of_features(features, COLUMNS)


def test_athenas_contract(all_models, events, expected):
    transport = connect(all_models.endpoint)
    for points, found in zip(events[:8], expected, strict=False):
        call = Call("gnn_tracks", {"FEATURES": features_of_points(points)}, ["LABELS"])
        labels = transport.infer(call, 30.0)["LABELS"]
        np.testing.assert_array_equal(labels, track_list(found))
        ends = np.flatnonzero(labels == -1)
        assert len(ends) == len(found)
    transport.close()


def test_a_request_of_another_shape_is_refused(all_models):
    transport = connect(all_models.endpoint)
    call = Call("gnn_tracks", {"FEATURES": np.zeros((4, 3), np.float32)}, ["LABELS"])
    with pytest.raises(ServiceError, match=r"FEATURES.*\[-1,8\]"):
        transport.infer(call, 10.0)
    transport.close()


def test_metrics_count_hits_edges_and_tracks(all_models, events):
    transport = connect(all_models.endpoint)
    call = Call("gnn_tracks", {"FEATURES": features_of_points(events[0])}, ["LABELS"])
    transport.infer(call, 30.0)
    transport.close()
    with urllib.request.urlopen(all_models.metrics_url) as reply:
        text = reply.read().decode()
    for name in ("trkx_space_points_total", "trkx_tracks_total", "nv_inference_count"):
        assert f'{name}{{model="gnn_tracks"' in text
    assert 'trkx_stage_seconds_total{model="gnn_tracks",stage="track_building"}' in text


def test_finding_and_fitting_in_the_service(all_models, tiny_sample, pipeline):
    from trkx.algorithms.reconstruction_service import ReconstructionService
    from trkx.io.event_files import EventFiles
    from trkx.plugin.serving.reco_exchange import (
        TRACK_OUTPUTS,
        FittedTracks,
        measurement_tensors,
        read_measurements,
    )

    transport = connect(all_models.endpoint)
    with EventFiles.open(tiny_sample) as files, ReconstructionService(pipeline) as service:
        for number in files.numbers:
            event = files.read(number, truth=False)
            tensors = measurement_tensors(event.space_points, event.measurements)
            call = Call("trkx_reco", tensors, [spec.name for spec in TRACK_OUTPUTS])
            found = FittedTracks.from_tensors(transport.infer(call, 60.0))
            here = service(read_measurements(tensors))
            assert len(found) > 10
            for name in ("parameters", "covariances", "chi2", "ndf", "offsets", "hits"):
                np.testing.assert_array_equal(getattr(found, name), getattr(here, name))
        wrong = {**tensors, "VAR0": -tensors["VAR0"]}
        with pytest.raises(ServiceError, match="variances that are not positive"):
            transport.infer(Call("trkx_reco", wrong, ["CHI2"]), 60.0)
    transport.close()
