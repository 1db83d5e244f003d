"""A Triton server to run here: the one in the wheel of nvidia-pytriton, made ready to start.

The wheel holds the server, its python backend, and one stub per version of Python. The stub must
lie beside the backend's library, in a folder of ours since the installation may be read-only, and
it finds the interpreter to embed through PATH alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trkx.plugin.errors import ServerError

# Arrays of an event are freed and made again for the next: fetching their pages anew took 6% of the
# time of an event (177,000 hits). Larger ones go back to the system at once, as always.
_KEPT = {"MALLOC_MMAP_THRESHOLD_": 32 << 20, "MALLOC_TRIM_THRESHOLD_": 256 << 20}
INSTALL = "pip install --no-deps nvidia-pytriton==0.7.0"


@dataclass(frozen=True)
class Runtime:
    """Where the parts of a Triton installation are."""

    binary: Path
    backends: Path  # the backends folder as installed
    stub: Path  # of this version of Python
    libraries: tuple[Path, ...]  # folders the loader must search

    @classmethod
    def find(cls) -> Runtime:
        """The server of the installed nvidia-pytriton.

        Raises:
            ServerError: it is not installed, or has no stub for this version of Python.
        """
        spec = find_spec("pytriton")
        if spec is None or not spec.submodule_search_locations:
            raise ServerError(f"there is no Triton server here; install one with: {INSTALL}")
        package = Path(next(iter(spec.submodule_search_locations)))
        home = package / "tritonserver"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stubs = home / "python_backend_stubs"
        stub = stubs / version / "triton_python_backend_stub"
        if not stub.is_file():
            known = ", ".join(sorted(p.name for p in stubs.glob("3.*")))
            raise ServerError(
                f"the Triton server in {home} runs models in Python {known}, not in {version}"
            )
        python_library = sysconfig.get_config_var("LIBDIR")
        return cls(
            binary=home / "bin" / "tritonserver",
            backends=home / "backends",
            stub=stub,
            libraries=(
                package.parent / "nvidia_pytriton.libs",
                *([Path(python_library)] if python_library else []),
            ),
        )

    def copy_backends(self, folder: Path) -> Path:
        """Copy the backends into `folder`, with the stub in its place; returns their folder."""
        backends = folder / "backends"
        shutil.copytree(self.backends, backends, dirs_exist_ok=True)
        stub = backends / "python" / self.stub.name
        shutil.copy2(self.stub, stub)
        stub.chmod(0o755)
        return backends

    def environment(self, threads: int) -> dict[str, str]:
        """Environment for the server and its stubs.

        Args:
            threads: threads of the numeric libraries in each model instance; instances share the
                machine, so all of them on all cores would only wait for each other.
        """
        found = dict(os.environ)
        found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", "")])
        libraries = [str(path) for path in self.libraries]
        if found.get("LD_LIBRARY_PATH"):
            libraries.append(found["LD_LIBRARY_PATH"])
        found["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
        # What requests took goes back to the system; models undo this for themselves.
        found |= {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
        found |= {"MALLOC_MMAP_THRESHOLD_": "65536"}
        for name, size in _KEPT.items():
            found.setdefault(name, str(size))
        for name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
            found[f"{name}_NUM_THREADS"] = str(threads)
        return found
