"""Tables and figure of the bench of the service."""

from __future__ import annotations

from pathlib import Path

from trkx.algorithms.service_bench import ServiceResults, Throughput
from trkx.algorithms.service_overhead import Overhead


def _by_way(results: ServiceResults) -> dict[str, list[Throughput]]:
    """Measurements by what a table or figure calls them."""
    found: dict[str, list[Throughput]] = {}
    for t in results.throughput:
        kind = f"direct, {t.model}" if t.way == "direct" else f"{t.model} by {t.way}"
        found.setdefault(f"{kind}, {t.instances} process{'es' * (t.instances > 1)}", []).append(t)
    return found


def format_results(results: ServiceResults) -> str:
    """Tables for people."""
    lines = [
        f"{results.events} events, {results.space_points:.0f} space points each, pipeline "
        f"{results.pipeline}, {results.cores} cores",
        "",
    ]
    for overhead in filter(None, (results.overhead, results.overhead_apart)):
        lines += _overhead_lines(overhead)
    lines.append("events per second (median milliseconds of one) against events in flight")
    columns = dict.fromkeys(t.concurrency for t in results.throughput)
    lines.append(f"  {'':34}" + "".join(f"{n:>16}" for n in columns))
    for name, rows in _by_way(results).items():
        cells = {
            t.concurrency: f"{t.events_per_second:.2f} ({1e3 * t.seconds_per_event:.0f})"
            for t in rows
        }
        lines.append(f"  {name:34}" + "".join(f"{cells.get(n, ''):>16}" for n in columns))
    custom, ensemble = results.best("grpc", "exatrkxcpu"), results.best("grpc", "exatrkx")
    if custom and ensemble:
        lines += ["", f"custom / ensemble: {custom / ensemble:.2f} (best of each)"]
        cpu = [1e3 * results.processor_time(model) for model in ("exatrkxcpu", "exatrkx")]
        if cpu[0]:
            lines.append(
                f"  processor time of an event: {cpu[0]:.0f} ms and {cpu[1]:.0f} ms, "
                f"ratio {cpu[1] / cpu[0]:.2f}"
            )
        for t in results.throughput:
            pair = [
                u.events_per_second
                for u in results.throughput
                if u.model == "exatrkxcpu"
                and (u.way, u.instances, u.concurrency) == (t.way, t.instances, t.concurrency)
            ]
            if t.model == "exatrkx" and t.way == "grpc" and pair:
                lines.append(
                    f"  {t.instances} processes, {t.concurrency:2} in flight: "
                    f"{pair[0] / t.events_per_second:.2f}"
                )
    return "\n".join(lines) + "\n"


def _overhead_lines(o: Overhead) -> list[str]:
    return [
        f"one event at a time, {o.placement} [ms]",
        f"  in this process {1e3 * o.direct:8.1f}   finding {1e3 * o.finding_direct:.1f}",
        f"  by the service  {1e3 * o.service:8.1f}   finding {1e3 * o.finding_service:.1f}, "
        f"overhead {100 * o.relative:+.1f}%",
        f"    serialise {1e3 * o.serialise:.1f}, queue {1e3 * o.queue:.1f}, input "
        f"{1e3 * o.compute_input:.1f}, model {1e3 * o.compute_infer:.1f}, output "
        f"{1e3 * o.compute_output:.1f}",
        f"    {o.bytes_sent / 1e6:.2f} MB sent, {o.bytes_received / 1e6:.2f} MB received",
        f"  processor time: {1e3 * o.cpu_direct:.1f} in this process, {1e3 * o.cpu_service:.1f} by "
        f"the service, {100 * (o.cpu_service / o.cpu_direct - 1):+.1f}%",
        "",
    ]


def draw(results: ServiceResults, path: Path) -> None:
    """Draw throughput against events in flight, a line per way and number of processes.

    References: arXiv:2402.09633, figures of throughput.
    """
    from trkx.plugin.errors import need

    need("matplotlib", "report", "the figure")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    styles = {"direct": ":", "exatrkx": "--"}
    for name, rows in _by_way(results).items():
        first = rows[0]
        axes.plot(
            [t.concurrency for t in rows],
            [t.events_per_second for t in rows],
            marker="osD^v"[(first.instances - 1) % 5],
            linestyle=styles.get(first.way, styles.get(first.model, "-")),
            label=name,
        )
    axes.set_xscale("log", base=2)
    ticks = sorted({t.concurrency for t in results.throughput})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.set_xlabel("events in flight")
    axes.set_ylabel("events per second")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="x-small", ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
