"""A toy job with known efficiencies and resolutions, for the tests of figures and reports."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy_performance():
    """The module that makes toy jobs."""
    path = Path(__file__).parent / "toy_performance.py"
    spec = importlib.util.spec_from_file_location("trkx_toy_performance", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy_document(toy_performance):
    """performance.json of a toy job; do not change it."""
    return toy_performance.make_document()[0]


@pytest.fixture(scope="session")
def toy_pair(toy_performance):
    """performance.json of a toy job with two finders."""
    return toy_performance.make_document(n_events=2, finders=("gnn", "ckf"))[0]


@pytest.fixture(scope="session")
def toy_display(toy_performance):
    """Event display of a toy job."""
    return toy_performance.make_document(n_events=1)[1]
