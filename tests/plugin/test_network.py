"""The network, its fused inference, training on toy events, and model files."""

import json

import numpy as np
import pytest
import torch
from trkx_toy import toy_event

from trkx.algorithms.track_counts import TrackCounts
from trkx.plugin import Pipeline, load_pipeline
from trkx.plugin.edge_labels import label_graph
from trkx.plugin.errors import DeviceError, StageError, WeightsError
from trkx.plugin.fused_inference import FusedInference
from trkx.plugin.interaction_network import InteractionNetwork, InteractionNetworkConfig
from trkx.plugin.layer_map_graph import N_EDGE_FEATURES, N_TRIPLET_FEATURES, LayerMapGraph
from trkx.plugin.network_classifier import NetworkClassifier, torch_device
from trkx.plugin.viterbi import ViterbiTrackBuilder
from trkx.plugin.weights import Model, sha256


@pytest.fixture(scope="module")
def network(toy_map):
    torch.manual_seed(1)
    config = InteractionNetworkConfig(
        N_EDGE_FEATURES, N_TRIPLET_FEATURES, len(toy_map.pair_inner), width=16, steps=2
    )
    return InteractionNetwork(config).eval()


def test_fused_inference_equals_torch(toy_events, toy_map, network):
    graph = LayerMapGraph(toy_map)(toy_events[0].space_points)
    with torch.inference_mode():
        edges, triplets = network(
            torch.from_numpy(graph.edge_features),
            torch.from_numpy(graph.edge_pair),
            torch.from_numpy(graph.triplet_features),
            torch.from_numpy(graph.triplet_index.astype(np.int64)),
        )
    fused_edges, fused_triplets = FusedInference.of(network)(graph)
    np.testing.assert_allclose(fused_edges, edges.numpy(), atol=1e-5)
    np.testing.assert_allclose(fused_triplets, triplets.numpy(), atol=1e-5)


def test_training_separates_true_from_false_edges(toy_map):
    from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network

    constructor = LayerMapGraph(toy_map)
    config = TrainingConfig(epochs=40, width=16, steps=2, learning_rate=1e-2)
    events = [toy_event(seed, n_particles=300, n_noise=1500) for seed in range(6)]
    dataset = GraphDataset(events, constructor, config.pt_min)
    shape = InteractionNetworkConfig(
        N_EDGE_FEATURES, N_TRIPLET_FEATURES, len(toy_map.pair_inner), width=16, steps=2
    )
    trained = train_network(dataset, shape, config, progress=False)
    busy = toy_event(11, n_particles=400, n_noise=2000)  # with false edges to reject
    graph = constructor(busy.space_points)
    labels = label_graph(graph, busy, 0.9)
    assert (labels.edge == 0).sum() > 50
    scores = NetworkClassifier(trained)(graph).edge_scores
    assert scores[labels.edge > 0].mean() > scores[labels.edge == 0].mean() + 1.5
    pipeline = Pipeline(constructor, [NetworkClassifier(trained)], ViterbiTrackBuilder())
    counts = TrackCounts()
    counts.add(busy, pipeline(busy.space_points), 1.0)
    assert counts.summary()["efficiency"] > 0.95


def test_model_round_trip_and_refusals(toy_map, network, tmp_path):
    folder = tmp_path / "model"
    Model.write(folder, toy_map, network, {"detector": "toy"})
    loaded = Model.open(folder).network()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)
    weights = folder / "network.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"network.safetensors.*corrupt"):
        load_pipeline("gnn", weights=folder)
    weights.unlink()
    with pytest.raises(WeightsError, match="missing"):
        Model.open(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(WeightsError, match="not JSON"):
        Model.open(folder)
    with pytest.raises(WeightsError, match=r"no card.json"):
        Model.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: [card], "found format 'list'"),
        (lambda card: {**card, "sha256": None}, "no checksum"),
        (lambda card: {**card, "network": {"foo": 1}}, "do not fit the network .*foo"),
    ],
)
def test_cards_that_make_no_sense(change, message, toy_map, network, tmp_path):
    Model.write(tmp_path, toy_map, network, {})
    path = tmp_path / "card.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(WeightsError, match=message):
        load_pipeline("gnn", weights=tmp_path)


def test_weights_that_end_early(toy_map, network, tmp_path):
    Model.write(tmp_path, toy_map, network, {})
    weights = tmp_path / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    card = json.loads((tmp_path / "card.json").read_text())
    card["sha256"][weights.name] = sha256(weights)
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_pipeline("gnn", weights=tmp_path)


def test_a_classical_model_has_no_network(toy_map, tmp_path):
    Model.write(tmp_path, toy_map, None, {})
    assert "network" not in json.loads((tmp_path / "card.json").read_text())
    with pytest.raises(WeightsError, match="no network"):
        load_pipeline("gnn", weights=tmp_path)
    assert load_pipeline("classical", weights=tmp_path).edge_classifiers == []


def test_unknown_finder_device_and_target():
    with pytest.raises(StageError, match="no finder 'magic'"):
        load_pipeline("magic")
    with pytest.raises(DeviceError, match="not one torch knows"):
        torch_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device"):
            torch_device("cuda")
    with pytest.raises(StageError, match="made for target pt1 and pt05, not for 'pt9'"):
        load_pipeline("gnn", target="pt9")


def test_training_goes_on_from_the_last_checkpoint(toy_events, toy_map, tmp_path):
    from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network

    config = TrainingConfig(epochs=2, width=8, steps=1)
    dataset = GraphDataset(toy_events[:3], LayerMapGraph(toy_map), config.pt_min)
    shape = InteractionNetworkConfig(
        N_EDGE_FEATURES, N_TRIPLET_FEATURES, len(toy_map.pair_inner), width=8, steps=1
    )
    first = train_network(dataset, shape, config, checkpoint_dir=str(tmp_path), progress=False)
    state = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert state["epoch"] == 1
    # Nothing is left to do: the second call returns the network of the first.
    again = train_network(dataset, shape, config, checkpoint_dir=str(tmp_path), progress=False)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)


def test_the_same_seed_gives_the_same_network(toy_events, toy_map):
    from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network

    config = TrainingConfig(epochs=2, width=8, steps=1)
    dataset = GraphDataset(toy_events[:3], LayerMapGraph(toy_map), config.pt_min)
    shape = InteractionNetworkConfig(
        N_EDGE_FEATURES, N_TRIPLET_FEATURES, len(toy_map.pair_inner), width=8, steps=1
    )
    one, two = (train_network(dataset, shape, config, progress=False) for _ in range(2))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_network_on_a_gpu_scores_as_on_the_cpu(toy_events, toy_map, network):
    graph = LayerMapGraph(toy_map)(toy_events[0].space_points)
    on_cpu = NetworkClassifier(network, "cpu")(graph)
    on_gpu = NetworkClassifier(network, "cuda")(graph)
    np.testing.assert_allclose(on_gpu.edge_scores, on_cpu.edge_scores, atol=1e-3)
    np.testing.assert_allclose(on_gpu.triplet_scores, on_cpu.triplet_scores, atol=1e-3)
