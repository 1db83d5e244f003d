"""The interaction GNN whole and in sub-steps: seconds, peak memory, difference of scores.

    python bench/substepping.py                               # 316,000 nodes, 1.95 and 3.7 M edges
    python bench/substepping.py --edges 300000 --width 64

Every row is a process of its own, so that its peak memory is that of one evaluation. `own` is
the peak beyond what the process held before it: torch, the network and its inputs. Seconds are
of the second evaluation: the first one compiles.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# name: how the scores are computed
ROWS = {
    "whole": {},
    "sub-steps": {"budget": "auto"},
    "sub-steps, 3 GiB": {"budget": "3 GiB"},
    "sub-steps, 1 GiB": {"budget": "1 GiB"},
    "whole, bfloat16": {"precision": "bfloat16"},
    "sub-steps, bfloat16": {"budget": "auto", "precision": "bfloat16"},
    "whole, compiled": {"compile": True},
    "sub-steps, compiled": {"budget": "auto", "compile": True},
    "sub-steps, compiled, bfloat16": {"budget": "auto", "compile": True, "precision": "bfloat16"},
}


def peak() -> float:
    """Largest resident memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(job: dict) -> dict:
    """Evaluate one graph in one way, in this process."""
    import torch

    from trkx.plugin.edge_network import compile_blocks
    from trkx.plugin.interaction_gnn import InteractionGnn, InteractionGnnConfig
    from trkx.plugin.substepping import score_edges

    torch.set_num_threads(job["threads"])
    torch.manual_seed(1)
    n, n_edges, way = job["nodes"], job["edges"], job["way"]
    shape = InteractionGnnConfig(
        node_features=3,
        width=job["width"],
        steps=job["steps"],
        hidden_layers=job["hidden_layers"],
        recurrent=not job["per_step"],
    )
    network = InteractionGnn(shape).eval().requires_grad_(False)
    # Hits sorted outward; an edge leads some way out from its source, as between layers.
    source = torch.sort(torch.randint(0, n - 1, (n_edges,))).values
    target = (source + torch.randint(1, n // 8, (n_edges,))).clamp_(max=n - 1)
    inputs = (torch.randn(n, 3), torch.stack([source, target]), torch.randn(n_edges, 6))
    device = torch.device(job["device"])
    network = network.to(device)
    inputs = tuple(t.to(device) for t in inputs)
    cuda = device.type == "cuda"
    if way.get("compile"):
        if "budget" in way:
            compile_blocks(network)
        else:
            network = torch.compile(network, dynamic=True)

    def evaluate() -> torch.Tensor:
        dtype = getattr(torch, way.get("precision", "float32"))
        with torch.inference_mode(), torch.autocast(device.type, dtype, dtype != torch.float32):
            if "budget" in way:
                scores = score_edges(network, *inputs, way["budget"])
            else:
                scores = network(*inputs).float()
        if cuda:
            torch.cuda.synchronize()
        return scores

    def repeat() -> torch.Tensor:
        if way.get("compile"):
            evaluate()  # the first call compiles
        nonlocal wall, cpu
        wall, cpu = time.perf_counter(), time.process_time()
        return evaluate()

    wall = cpu = 0.0
    before = torch.cuda.memory_allocated() / 2**30 if cuda else peak()
    scores = repeat()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    top = torch.cuda.max_memory_allocated() / 2**30 if cuda else peak()
    result = {"seconds": wall, "cpu": cpu, "peak_gib": top, "own_gib": top - before}
    reference = Path(job["reference"])
    if reference.exists():
        known = torch.load(reference)
        result["difference"] = float((scores.cpu() - known).abs().max())
        result["difference_probability"] = float(
            (scores.cpu().sigmoid() - known.sigmoid()).abs().max()
        )
    else:
        torch.save(scores.cpu(), reference)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=316_000)
    parser.add_argument("--edges", type=int, nargs="+", default=[1_950_000, 3_700_000])
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--hidden-layers", type=int, default=1)
    parser.add_argument("--per-step", action="store_true", help="MLPs of its own for every step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    if options["one"]:
        print(json.dumps(measure(json.loads(options["one"]))))
        return
    results = []
    print(
        f"{'edges':>9} {'way':30} {'wall s':>8} {'CPU s':>8} {'peak GiB':>9} {'own':>6}  difference"
    )
    for edges in options["edges"]:
        with tempfile.TemporaryDirectory() as folder:
            for name in options["rows"]:
                job = {**options, "edges": edges, "way": ROWS[name], "json": None}
                job["reference"] = str(Path(folder) / "scores.pt")
                done = subprocess.run(
                    [sys.executable, __file__, "--one", json.dumps(job)],
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    reason = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
                    print(f"{edges:>9} {name:30} failed: {reason[-1][:90]}", flush=True)
                    continue
                r = json.loads(done.stdout.splitlines()[-1])
                results.append({"edges": edges, "way": name, **r})
                print(
                    f"{edges:>9} {name:30} {r['seconds']:8.2f} {r['cpu']:8.2f} "
                    f"{r['peak_gib']:9.2f} {r['own_gib']:6.2f}  {r.get('difference', 0.0):.1e}",
                    flush=True,
                )
    if options["json"]:
        settings = {k: v for k, v in options.items() if k not in ("json", "one", "rows")}
        options["json"].write_text(json.dumps({**settings, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
