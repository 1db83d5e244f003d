"""What does a job need that finds its tracks by the service? Neither torch nor numba, less memory.

    python bench/service_client.py --input sample --out tracks --url grpc://localhost:8001
    python bench/service_client.py --input sample --out tracks

With --url, track finding is the server's and the libraries of machine learning cannot be imported;
without, it is this process's own. Both run the whole chain: read, find, fit, measure, write. The
last line gives the peak memory of the process.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

LIBRARIES = ("torch", "numba", "safetensors", "lightning", "onnxruntime")


class Absent:
    """Lets no import of these libraries find anything, as where they are not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse."""
        if name.partition(".")[0] in LIBRARIES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> int:
    """Run the job."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--input", required=True, help="simulated events")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--url", help="server; default: find tracks in this process")
    args = parser.parse_args()
    job = ["run", "--input", args.input, "--out", args.out, "--fitter", "kf", "--no-report"]
    if args.url:
        sys.meta_path.insert(0, Absent())
        job += ["--backend", "triton", "--url", args.url, "--fallback", ""]
    from trkx.algorithms.cli.main import main as trkx
    from trkx.algorithms.job import peak_memory_bytes

    code = trkx(job)
    loaded = [name for name in LIBRARIES if name in sys.modules]
    print(
        ", ".join(loaded or LIBRARIES[:2]), "loaded" if loaded else "cannot be imported", sep=": "
    )
    print(f"peak memory: {peak_memory_bytes() / 1e6:.0f} MB")
    return code


if __name__ == "__main__":
    sys.exit(main())
