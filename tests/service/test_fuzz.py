"""Some hundred bad requests; bench/service_fuzz.py sends ten thousand."""

from pathlib import Path

import numpy as np
import pytest

from trkx.plugin.errors import ServiceError, SpacePointError
from trkx.plugin.serving.exchange import (
    CLIENT_OUTPUTS,
    MOST_SPACE_POINTS,
    check_number,
    event_inputs,
)
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.transport import Call, connect

BENCH = Path(__file__).parents[2] / "bench"


def test_bad_requests(start_server, events, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    from service_fuzz import Fuzz

    folder = write_repository(tmp_path, RepositoryConfig(models=("trkx", "gnn_tracks")))
    fuzz = Fuzz(start_server(folder), events[0], seed=5, rare=False)
    fuzz.run(300, every=50)
    assert fuzz.wrong == [], fuzz.table()
    assert sum(sum(counts.values()) for counts in fuzz.outcomes.values()) == 300
    assert fuzz.memory_returned, fuzz.table()


@pytest.mark.parametrize("column", ["X", "Y", "Z", "SIZE0", "SIZE1", "BEAM_SPOT"])
def test_values_that_are_none_are_named(column, server, events):
    tensors = event_inputs(events[0], (0.0, 0.0))
    wrong = tensors[column].copy()
    wrong[1] = np.nan
    del tensors["CHECKSUM"]
    transport = connect(server.endpoint)
    with pytest.raises(ServiceError, match=rf"'{column}': 1 of \d+ values .* first in row 1") as e:
        transport.infer(Call("trkx", {**tensors, column: wrong}, CLIENT_OUTPUTS), 10.0)
    assert not e.value.transient
    transport.close()


def test_more_space_points_than_an_event_has():
    check_number(MOST_SPACE_POINTS)
    with pytest.raises(SpacePointError, match="Send one event per request"):
        check_number(MOST_SPACE_POINTS + 1)
