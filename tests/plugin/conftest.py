"""Toy events and the map learned from them."""

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("trkx_toy", Path(__file__).parent / "toy.py")
toy = importlib.util.module_from_spec(_spec)
sys.modules["trkx_toy"] = toy
_spec.loader.exec_module(toy)


@pytest.fixture(scope="session")
def toy_events():
    return [toy.toy_event(seed) for seed in range(12)]


@pytest.fixture(scope="session")
def toy_map(toy_events):
    from trkx.plugin.layer_map_learning import LayerMapConfig, learn_layer_map
    from trkx.plugin.layers import learn_layers

    config = LayerMapConfig(doublet_quantile=0.999, triplet_quantile=0.999, margin=1.2)
    return learn_layer_map(toy_events[:10], learn_layers(toy_events), config, {"seed": "toy"})
