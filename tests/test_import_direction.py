"""Who may import whom: read from the source, so that lazy imports count as well."""

import ast
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("plugin", "io", "fitting", "algorithms")

# What may be imported at all, beyond the standard library and the package itself.
ALLOWED = {
    "plugin": {
        *("numpy", "scipy", "torch", "numba", "tritonclient", "safetensors", "lightning"),
        *("faiss", "onnx", "onnxruntime", "onnxscript"),
        # The server's own Python, and certificates for it.
        *("triton_python_backend_utils", "cryptography"),
    },
    "io": {"numpy", "uproot", "awkward", "pyarrow", "acts"},
    "fitting": {"numpy", "acts"},
    "algorithms": None,
}
# Extras of the package: only where they are used, never when the package is imported.
EXTRAS = {
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
    "pytriton",
}


def sources(package):
    return sorted((REPOSITORY / package).rglob("*.py"))


def imports_of(tree):
    """Yield (dotted name, node) of every import, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module, node
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def top(name):
    """The distribution-like part of a dotted name: `trkx.io` for our own, else the first word."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "trkx" else parts[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package):
    allowed = ALLOWED[package]
    offences = []
    for path in sources(package):
        for name, node in imports_of(ast.parse(path.read_text())):
            if name == "trkx" or top(name) in (f"trkx.{package}", *sys.stdlib_module_names):
                continue
            is_trkx = name.startswith("trkx.")
            if allowed is None:
                if is_trkx and top(name).removeprefix("trkx.") not in PACKAGES:
                    offences.append(f"{path}:{node.lineno} {name}")
            elif not any(name == a or name.startswith(f"{a}.") for a in allowed):
                offences.append(f"{path.relative_to(REPOSITORY)}:{node.lineno} {name}")
    assert offences == []


def test_the_rule_catches_an_offence():
    tree = ast.parse("def f():\n    import acts.examples\n")
    assert "acts.examples" in [name for name, _ in imports_of(tree)]


@pytest.mark.parametrize("package", PACKAGES)
def test_our_own_packages_are_imported_by_their_full_names(package):
    """`import algorithms.x` would load the same file twice, as two different modules."""
    for path in sources(package):
        for name, node in imports_of(ast.parse(path.read_text())):
            assert name.split(".")[0] not in {"plugin", "algorithms", "fitting"}, (
                f"{path}:{node.lineno} {name}"
            )
            assert not name.startswith("io."), f"{path}:{node.lineno} {name}"
