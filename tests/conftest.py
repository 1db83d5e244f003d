"""Fixtures that all tests share."""

import os

# One thread per library: the tests run several jobs on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

TINY_SEED = 600001  # below 900000: figures for the notes never come from test fixtures


@pytest.fixture(scope="session")
def tiny_sample(tmp_path_factory):
    """Three simulated ttbar events with five pile-up collisions and noise, as `trkx simulate`
    writes them."""
    from trkx.algorithms.cli.main import main

    folder = tmp_path_factory.mktemp("tiny_sample") / "sample"
    arguments = ["simulate", "--events", "3", "--pileup", "5", "--seed", str(TINY_SEED)]
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder
