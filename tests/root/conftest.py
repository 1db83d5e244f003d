"""A real ROOT, in an environment and a process of its own.

`make root-env` makes the environment `.venv-root`; `TRKX_ROOT_PYTHON` names the Python of
another one. Without either, the tests of this folder are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEFAULT_PYTHON = HERE.parents[1] / ".venv-root" / "bin" / "python"


@pytest.fixture(scope="session")
def root_python():
    """Python that has ROOT."""
    python = os.environ.get("TRKX_ROOT_PYTHON") or str(DEFAULT_PYTHON)
    command = [python, "-W", "ignore", "-c", "import ROOT"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except OSError:
        found = False
    if not found:
        pytest.skip(f"no ROOT in {python}: run `make root-env`, or set TRKX_ROOT_PYTHON")
    return python


@pytest.fixture(scope="session")
def run_root(root_python):
    """Run a script of this folder with ROOT; its last line of output is JSON, if any."""

    def run(script, *arguments):
        command = [root_python, "-W", "ignore", str(HERE / script), *map(str, arguments)]
        # uproot and numpy of the test process must not leak into the other environment.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    return run
