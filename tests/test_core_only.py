"""A core-only installation imports everything and names the extra that a feature needs."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HIDDEN = [
    "torch",
    "numba",
    "safetensors",
    "lightning",
    "faiss",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pythia8mc",
    "pyhepmc",
    "matplotlib",
    "mplhep",
    "hist",
    "boost_histogram",
    "pytriton",
]

BLOCKER = f"""
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
"""


def run_core_only(code, *arguments):
    """Run `code` in a fresh interpreter in which no extra can be imported."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKER + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def modules():
    names = []
    for package in ("plugin", "io", "fitting", "algorithms"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            names.append(".".join(("trkx", *parts)).removesuffix(".__init__"))
    return names


def test_the_blocker_blocks():
    result = run_core_only("import torch")
    assert "No module named 'torch'" in result.stderr


# Modules that are one extra's business and are imported only when that is asked for.
NEED_AN_EXTRA = ("trkx.plugin.", "trkx.algorithms.simulation.", "trkx.algorithms.report.")


def test_every_module_can_be_imported_or_needs_an_extra_by_nature():
    code = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error.name or error)
"""
    result = run_core_only(code, *modules())
    assert result.returncode == 0, result.stderr
    failed = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert [name for name, _ in failed if not name.startswith(NEED_AN_EXTRA)] == []
    for name, why in failed:
        assert why.partition(".")[0] in HIDDEN or "pip install 'trkx[" in why, (name, why)


@pytest.mark.parametrize("package", ["plugin", "io", "fitting", "algorithms"])
def test_importing_a_package_brings_in_no_extra(package):
    code = f"import trkx.{package}, sys; print(sorted(set(sys.modules) & set({HIDDEN!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_the_help_needs_neither_acts_nor_numpy():
    code = """
import sys
from trkx.algorithms.cli.main import main
try:
    main(["--help"])
except SystemExit as stop:
    print(stop.code, "acts" in sys.modules, "numpy" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "0 False False", result.stderr


def test_doctor_says_what_is_missing():
    result = run_core_only("from trkx.algorithms.cli.main import main; sys.exit(main(['doctor']))")
    assert result.returncode == 0, result.stderr
    assert "pip install 'trkx[local]'" in result.stdout
    assert "pip install 'trkx[sim]'" in result.stdout


def test_ckf_chain_runs_core_only(tiny_sample, tmp_path):
    result = run_core_only(
        "from trkx.algorithms.cli.main import main; sys.exit(main(sys.argv[1:]))",
        "run",
        *("--input", tiny_sample, "--finder", "ckf-fast", "--out", tmp_path / "out"),
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "performance.json").exists()
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_missing_extra_is_named(tiny_sample, tmp_path):
    result = run_core_only(
        "from trkx.algorithms.cli.main import main; sys.exit(main(sys.argv[1:]))",
        "run",
        *("--input", tiny_sample, "--finder", "gnn", "--out", tmp_path / "out"),
    )
    assert result.returncode == 2
    assert "pip install 'trkx[local]'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
