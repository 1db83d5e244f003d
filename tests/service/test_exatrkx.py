"""The contract of exatrkx-service: custom model, ensemble, and the steps by themselves."""

import numpy as np
import pytest

from trkx.plugin.errors import ServiceError
from trkx.plugin.exatrkx_graph import scaled_features
from trkx.plugin.load import load_pipeline
from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.exatrkx_model import tracks_of
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.transport import Call, connect

MODELS = ("exatrkxcpu", "exatrkx")
SPECIAL = {
    "no hits": np.zeros((0, 3), np.float32),
    "one hit": np.full((1, 3), 0.1, np.float32),
    "no edges": np.array([[0.03, 0.1, 0.1], [1.0, -0.9, 2.0]], np.float32),
    # The last hits are on no edge: labels go on to the end all the same.
    "far hits at the end": np.array(
        [[0.1 * i, 0.2, 0.1 * i] for i in range(1, 8)] + [[0.9, -0.7, -2.5], [0.5, 0.9, 2.9]],
        np.float32,
    ),
}


@pytest.fixture(scope="module")
def contract():
    return load_pipeline(pipeline="exatrkx", threads=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = write_repository(tmp_path_factory.mktemp("contract"), RepositoryConfig(MODELS))
    with TritonServer(ServerConfig(folder, grpc_port=0, http_port=0, metrics_port=0)) as server:
        yield server


@pytest.fixture(scope="module")
def transports(running):
    http = Endpoint("http", "127.0.0.1", running.config.http_port)
    found = [connect(running.endpoint), connect(http)]
    yield found
    for transport in found:
        transport.close()


def ask(transport, model, output, **inputs):
    return transport.infer(Call(model, inputs, [output]), 60.0)[output]


@pytest.mark.parametrize("model", MODELS)
def test_labels_are_those_of_the_pipeline_in_this_process(transports, contract, events, model):
    for transport in transports:
        for points in events[:3]:
            labels = ask(transport, model, "LABELS", FEATURES=scaled_features(points))
            assert labels.dtype == np.int64 and labels.max() > 20
            np.testing.assert_array_equal(labels, contract(points).labels)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", SPECIAL)
def test_there_is_a_label_for_every_hit(transports, contract, model, name):
    features = SPECIAL[name]
    for transport in transports:
        labels = ask(transport, model, "LABELS", FEATURES=features)
        assert labels.shape == (len(features),)
        np.testing.assert_array_equal(labels, tracks_of(features, contract).labels)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("row", "message"), [((np.nan, 0, 0), "NaN or infinite"), ((-1, 0, 0), "radius below 0")]
)
def test_features_that_are_none(transports, model, row, message):
    features = np.array([(0.1, 0.1, 0.1), row], np.float32)
    with pytest.raises(ServiceError, match=message):
        ask(transports[0], model, "LABELS", FEATURES=features)


def test_a_client_of_exatrkx_service_works_unchanged(running, contract, events):
    """What its test client does: no version, a request id, outputs by name."""
    import tritonclient.grpc as grpcclient

    data = scaled_features(events[0]).astype(np.single)
    with grpcclient.InferenceServerClient(running.endpoint.address) as client:
        tensor = grpcclient.InferInput("FEATURES", data.shape, "FP32")
        tensor.set_data_from_numpy(data)
        response = client.infer(
            "exatrkx",
            [tensor],
            request_id="1",
            outputs=[grpcclient.InferRequestedOutput("LABELS")],
        )
        np.testing.assert_array_equal(response.as_numpy("LABELS"), contract(events[0]).labels)


def test_the_steps_one_by_one_without_the_optional_inputs(transports, contract, events):
    """As somebody does who has only the published tensors."""
    x, t = scaled_features(events[0]), transports[0]
    embedded = ask(t, "embed", "OUTPUT__0", INPUT__0=x)
    edges = ask(t, "frnn", "OUTPUT0", INPUT0=embedded)
    assert (edges[0] < edges[1]).all()
    scores = ask(t, "filter", "OUTPUT__0", INPUT__0=x, INPUT__1=edges)
    assert scores.shape == (edges.shape[1], 1)
    kept = ask(t, "applyfilter", "EDGE_LIST_AFTER_FILTER", FILTER_SCORES=scores, EDGE_LIST=edges)
    assert 0 < kept.shape[1] < edges.shape[1]
    logits = ask(t, "gnn", "OUTPUT__0", INPUT__0=x, INPUT__1=kept)
    labels = ask(t, "wcc", "OUTPUT0", INPUT0=kept, INPUT1=logits)
    assert len(labels) == kept.max() + 1
    # Edges come in another order, sums differ in the last bit: hardly ever a label.
    expected = contract(events[0]).labels[: len(labels)]
    assert ((labels < 0) == (expected < 0)).mean() > 0.99


def test_the_configuration_says_how_features_are_scaled(transports):
    for model in MODELS:
        about = transports[0].parameters(model, "", 10.0)
        assert about["features"] == "r,phi,z"
        assert about["feature_scales"].startswith("1000,3.14159")
        assert about["identity"].startswith("exatrkx/pt1 sha256:")
