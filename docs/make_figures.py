"""How are the figures and the table of the README made?

    trkx compare --input sample --finders gnn,classical,ckf --fitters kf,gx2f --out comparison
    python docs/make_figures.py comparison

Reads performance.json and event_display.npz of a result folder, draws docs/figures and puts the
table, shortened, between the two marks in README.md. `make figures` does it from the demo.
"""

import re
import sys
from pathlib import Path

from PIL import Image

from trkx.algorithms.event_display import EventDisplay
from trkx.algorithms.performance import load_performance
from trkx.algorithms.performance_table import format_table
from trkx.algorithms.report import write_figures

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
LEFT_OUT = ("pT > 0.5", "fit: gx2f", "Matching:", "pt1:", "pt05:")


def shortTable(document: dict) -> str:
    """The table of the terminal without the blocks that a first look does not need."""
    lines, leave_out = [], False
    for line in format_table(document).splitlines():
        if line and not line.startswith(" "):
            leave_out = line.startswith(LEFT_OUT)
            if leave_out and lines[-1] != "…":
                lines.append("…")
        # Continued lines of a paragraph start at the margin, too.
        if not leave_out and not line.startswith("than "):
            lines.append(line)
    return "\n".join(lines)


def runFigures(results: Path) -> None:
    """Draw the figures and write the table."""
    document = load_performance(results / "performance.json")
    display = EventDisplay.load(results / "event_display.npz")
    for path in write_figures(DOCS / "figures", document, display):
        # 256 colours are enough, and a quarter of the size.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(path)
    block = f"<!-- demo table -->\n```text\n{shortTable(document)}\n```\n<!-- end -->"
    text = README.read_text()
    README.write_text(
        re.sub("<!-- demo table -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL)
    )
    print(README)


if __name__ == "__main__":
    runFigures(Path(sys.argv[1]))
