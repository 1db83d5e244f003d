"""Resolutions and pulls of the fitted tracks, by finder and fitter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trkx.algorithms.report.rate_plots import plain_log_ticks
from trkx.algorithms.report.style import axis_label, looks, new_figure, pretty, sample_words
from trkx.algorithms.residuals import PARAMETERS, QUANTITIES

# What is drawn, its unit, and the factor from the unit of performance.json to it.
_RESOLUTIONS = (
    ("d0", r"$\sigma(d_0)$ [µm]", 1e3),
    ("z0", r"$\sigma(z_0)$ [µm]", 1e3),
    ("phi", r"$\sigma(\phi)$ [mrad]", 1e3),
    ("theta", r"$\sigma(\theta)$ [mrad]", 1e3),
    ("qop_relative", r"$\sigma(q/p)\,/\,(q/p)$ [%]", 1e2),
)
_LINES = ("-", "--", ":", "-.")


def has_fits(document: Mapping[str, Any]) -> bool:
    """Whether any track was fitted."""
    return any(True for _ in _fits(document))


def resolution_figure(document: Mapping[str, Any], axis: str) -> Any:
    """Core widths of the residuals against `eta` or `pt`."""
    figure = new_figure(11.4, 6.6)
    panels = figure.subplots(2, 3).ravel()
    for axes, (name, label, scale) in zip(panels, _RESOLUTIONS, strict=False):
        for figures, look in _fits(document):
            widths = figures["resolutions_vs"][axis]
            edges = np.asarray(widths["edges"])
            _draw_widths(axes, edges, widths[name], look, scale, axis == "pt")
        axes.set_ylabel(label)
        axes.set_xlabel(axis_label(document, axis))
        _scale_y(axes)
        if axis == "pt":
            axes.set_xscale("log")
            plain_log_ticks(axes)
    _legend_panel(panels[-1], panels[0], document)
    return figure


def pull_figure(document: Mapping[str, Any]) -> Any:
    """Pull distributions beside the unit Gaussian, with the core widths."""
    figure = new_figure(11.4, 6.6)
    panels = figure.subplots(2, 3).ravel()
    x = np.linspace(-5, 5, 201)
    gaussian = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    for axes, parameter in zip(panels, PARAMETERS, strict=False):
        axes.fill_between(x, gaussian, color="0.9", label="unit Gaussian")
        for row, (figures, look) in enumerate(_fits(document)):
            counts = figures["pull_histograms"][parameter.name]
            values = np.asarray(counts["counts"], dtype=np.float64)
            if not values.sum():
                continue
            values, edges = _pairs(values, np.asarray(counts["edges"]))
            density = values / values.sum() / np.diff(edges)
            axes.stairs(
                density, edges, color=look["colour"], linestyle=look["line"], label=look["label"]
            )
            core = figures["pulls"][parameter.name]
            if core["width"] is not None:
                axes.text(
                    0.97,
                    0.95 - 0.085 * row,
                    f"{core['width']:.3f} ± {core['width_error']:.3f}",
                    color=look["colour"],
                    transform=axes.transAxes,
                    ha="right",
                    va="top",
                    fontsize=9,
                )
        axes.set_xlim(-5, 5)
        axes.set_ylim(0, 0.56)
        axes.set_xlabel(f"pull of {parameter.label}")
        axes.set_ylabel("density")
    _legend_panel(panels[-1], panels[0], document)
    return figure


def residual_figure(document: Mapping[str, Any]) -> Any:
    """Residual distributions."""
    figure = new_figure(11.4, 6.6)
    panels = figure.subplots(2, 3).ravel()
    shown = [q for q in QUANTITIES if q.name != "qop"]
    for axes, quantity in zip(panels, shown, strict=False):
        for figures, look in _fits(document):
            counts = figures["residual_histograms"][quantity.name]
            values = np.asarray(counts["counts"], dtype=np.float64)
            if values.sum():
                axes.stairs(
                    values / values.sum(),
                    counts["edges"],
                    color=look["colour"],
                    linestyle=look["line"],
                    label=look["label"],
                )
        unit = f" [{quantity.unit}]" if quantity.unit else ""
        axes.set_xlabel(f"residual of {quantity.label}{unit}")
        axes.set_ylabel("fraction of tracks")
        axes.set_yscale("log")
        axes.set_xlim(-quantity.residual_range, quantity.residual_range)
    _legend_panel(panels[-1], panels[0], document)
    return figure


def _fits(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Each finder and fitter with fitted tracks: colour by finder, line by fitter."""
    finders = document["finders"]
    styles = looks(list(finders))
    fitters = list(dict.fromkeys(f for figures in finders.values() for f in figures["fits"]))
    for finder, look in styles.items():
        for fitter, figures in finders[finder]["fits"].items():
            if not figures["n_fitted"]:
                continue
            own = fitter == "ckf"
            label = look.label if own else f"{look.label}, {pretty(fitter)}"
            line = _LINES[fitters.index(fitter) % len(_LINES)]
            yield (
                figures,
                {"label": label, "colour": look.colour, "marker": look.marker, "line": line},
            )


def _draw_widths(
    axes: Any,
    edges: Any,
    values: Mapping[str, Any],
    look: Mapping[str, Any],
    scale: float,
    log: bool,
) -> None:
    width, error = (
        scale * np.array([np.nan if v is None else v for v in values[key]], dtype=np.float64)
        for key in ("width", "width_error")
    )
    centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    shown = np.isfinite(width)
    axes.errorbar(
        centres[shown],
        width[shown],
        yerr=error[shown],
        fmt=look["marker"],
        linestyle=look["line"],
        linewidth=0.9,
        color=look["colour"],
        label=look["label"],
    )


def _legend_panel(axes: Any, source: Any, document: Mapping[str, Any]) -> None:
    """Turn the last panel of a grid into the legend."""
    handles, labels = source.get_legend_handles_labels()
    axes.set_axis_off()
    axes.legend(handles, labels, loc="center", title=sample_words(document), fontsize=11)


def _scale_y(axes: Any) -> None:
    """From zero, or logarithmic where the widths span more than a factor of six."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    widths = [y for line in axes.get_lines() for y in line.get_ydata() if np.isfinite(y) and y > 0]
    if not widths or max(widths) < 6 * min(widths):
        axes.set_ylim(bottom=0, top=1.1 * max(widths, default=1.0))
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _pairs(values: Any, edges: Any) -> tuple[Any, Any]:
    """Half the number of bins."""
    return values.reshape(-1, 2).sum(axis=1), edges[::2]
