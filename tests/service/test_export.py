"""An exported repository serves without trkx being installed."""

import subprocess

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs, read_candidates
from trkx.plugin.serving.transport import Call, connect


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "repository"
    assert main(["serve", "--export", str(folder), "--models", "trkx"]) == 0
    return folder


def test_every_file_has_a_checksum(exported):
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=exported, check=False)
    assert check.returncode == 0
    named = {line.split()[1] for line in (exported / "SHA256SUMS").read_text().splitlines()}
    assert "trkx/config.pbtxt" in named and "trkx/1/trkx/plugin/pipeline.py" in named


def test_it_is_not_written_over(exported, capsys):
    assert main(["serve", "--export", str(exported)]) == 2
    assert "not empty; pass --force" in capsys.readouterr().err


def test_it_serves_by_its_own_copy_of_the_code(exported, start_server, events, expected, tmp_path):
    # Another trkx is found first by nobody: what is imported comes from the model's folder.
    server = start_server(exported, log=tmp_path / "log")
    transport = connect(server.endpoint)
    found = []
    for points in events[:3]:
        call = Call("trkx", event_inputs(points, (0.0, 0.0)), CLIENT_OUTPUTS)
        found.append(read_candidates(transport.infer(call, 60.0), len(points))[0])
    # Compiled anew from the copy, the last bit of a score may differ.
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
    assert transport.parameters("trkx", "", 10.0)["identity"].startswith("fast/pt1 sha256:")
    transport.close()
    assert "two hits" not in "".join(
        line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("E")
    )
