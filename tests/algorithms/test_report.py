"""The report and the figures, built from a small performance.json."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from trkx.algorithms.event_display import EventDisplay
from trkx.algorithms.performance import PerformanceFormatError, build_performance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.report import overview_figure, render_report, write_figures, write_report
from trkx.algorithms.report.rate_plots import reference_finder
from trkx.algorithms.report.style import figure_style, looks, png, sample_words
from trkx.algorithms.report.summary import summary_html
from trkx.io.errors import MissingExtraError

PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Counts what is in a page and checks that tags close."""

    def __init__(self, text):
        super().__init__()
        self.images, self.captions, self.open, self.headings = [], 0, [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            self.images.append(values)
        elif tag not in ("meta", "link"):
            self.open.append(tag)
        self.captions += tag == "figcaption"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def page(toy_pair, toy_display):
    return render_report(toy_pair, toy_display)


def test_report_is_complete_and_needs_nothing_else(page):
    parsed = Page(page)
    assert parsed.headings == [
        "Efficiency, pT > 1 GeV",
        "Efficiency, pT > 0.5 GeV",
        "Fakes, duplicates and hit content",
        "Track fits",
        "Time",
        "One event",
        "Definitions and provenance",
    ]
    assert len(parsed.images) == parsed.captions >= 15
    assert all(image["src"].startswith("data:image/png;base64,") for image in parsed.images)
    assert all(image["alt"] for image in parsed.images)
    assert not re.search(r"(src|href)=['\"]?(https?:|//|file:)|@import|<script", page)


def test_summary_comes_first_and_captions_state_rule_and_cuts(page, toy_pair):
    assert page.index("<table>") < page.index("<figure")
    efficiency = toy_pair["finders"]["gnn"]["targets"]["pt1"]["efficiency"]
    assert f"{100 * efficiency:.2f} <span>±" in page
    for caption in re.findall(r"<figcaption>(Efficiency.*?)</figcaption>", page):
        assert "more than 50%" in caption
        assert "pT &gt; " in caption


def test_names_are_escaped(toy_pair):
    document = dict(toy_pair)
    document["input"] = {"files": "<script>alert(1)</script>"}
    document["finders"] = {}
    document["comparisons"] = []
    text = render_report(document, title="a <b> c")
    assert "<script>" not in text
    assert "a &lt;b&gt; c" in text


def test_report_of_nothing(tmp_path):
    path = write_report(tmp_path / "report.html", build_performance(PerformanceCollector()))
    assert "No finder was run." in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_report_of_a_finder_that_found_nothing():
    collector = PerformanceCollector()
    collector.add_finder("gnn")
    collector.add_fit("gnn", "kf")
    text = render_report(build_performance(collector))
    assert Page(text).headings[-1] == "Definitions and provenance"


def test_report_wants_a_performance_document(tmp_path):
    with pytest.raises(PerformanceFormatError, match="not a performance file"):
        write_report(tmp_path / "report.html", {})
    assert list(tmp_path.iterdir()) == []


def test_figures_for_the_readme(toy_pair, toy_display, tmp_path):
    paths = write_figures(tmp_path / "figures", toy_pair, toy_display, finder="ckf")
    assert [path.name for path in paths] == ["efficiency_and_time.png", "event_display.png"]
    assert all(path.read_bytes().startswith(PNG) for path in paths)
    again = write_figures(tmp_path / "again", toy_pair)
    assert [path.read_bytes() for path in again] == [paths[0].read_bytes()]


def test_event_display_is_stored_and_read(toy_display, tmp_path):
    toy_display.save(tmp_path / "event.npz")
    read = EventDisplay.load(tmp_path / "event.npz")
    assert read.number == toy_display.number
    assert set(read.finders) == set(toy_display.finders)
    np.testing.assert_array_equal(read.positions, toy_display.positions)
    np.testing.assert_array_equal(read.finders["gnn"].hits, toy_display.finders["gnn"].hits)


def test_each_finder_has_its_own_colour():
    names = ["gnn", "ckf-best", "ckf", "ckf-fast", "mine", "theirs", "gnn+ckf"]
    colours = [look.colour for look in looks(names).values()]
    assert len(set(colours)) == len(names)
    assert looks(["gnn"])["gnn"].colour == looks(["ckf", "gnn"])["gnn"].colour
    assert reference_finder(["gnn", "ckf-fast", "ckf"]) == "ckf"
    assert reference_finder(["gnn", "classical"]) == "classical"


def test_sample_is_described_by_its_provenance(toy_pair, caplog):
    document = dict(toy_pair)
    settings = {"process": "ttbar", "pileup": 200.0}
    document["input"] = {"files": [{"provenance": {"settings": settings}}]}
    assert sample_words(document) == r"$t\bar{t}$, $\langle\mu\rangle$ = 200, 2 events"
    assert "tt̄, ⟨μ⟩ = 200: 2 events" in summary_html(document)
    with figure_style():
        assert png(overview_figure(document)).startswith(PNG)
    assert caplog.text == ""  # where mathtext tells of glyphs it lacks
    document["input"] = {}
    assert sample_words(document) == "2 events"


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mplhep", None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'trkx\[report\]'"),
        figure_style(),
    ):
        pass


def test_plotting_is_imported_late():
    code = (
        "import sys, trkx.algorithms.report, trkx.algorithms.performance_algorithm;"
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'mplhep', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
