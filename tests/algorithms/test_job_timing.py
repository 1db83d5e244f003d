"""Stage times: from markers, and from the sequencer's own file."""

import acts
import acts.examples
import pytest

from trkx.algorithms.job_timing import ProgressAlgorithm, StageTimer, stage_totals


class Work(acts.examples.IAlgorithm):
    """Burns CPU for some numbers."""

    def __init__(self, count):
        acts.examples.IAlgorithm.__init__(self, "Work", acts.logging.WARNING)
        self.count = count

    def execute(self, context):
        sum(i * i for i in range(self.count))
        return acts.examples.ProcessCode.SUCCESS


def run(tmp_path, threads, works=(1_000, 200_000)):
    s = acts.examples.Sequencer(
        events=3,
        numThreads=threads,
        trackFpes=False,
        logLevel=acts.logging.MAX,
        outputDir=str(tmp_path),
        outputTimingFile="timing.csv",
    )
    timer = StageTimer(threads)
    for number, count in enumerate(works):
        with timer.stage(s, f"finder{number}:finding"):
            s.addAlgorithm(Work(count))
    events = []
    s.addAlgorithm(ProgressAlgorithm(lambda: events.append(1)))
    s.run()
    assert len(events) == 3
    return timer


@pytest.mark.parametrize("threads", [1, 2])
def test_the_longer_stage_takes_longer(tmp_path, threads):
    result = run(tmp_path, threads).result(tmp_path / "timing.csv")
    assert list(result) == ["finder0:finding", "finder1:finding"]
    assert 0 < result["finder0:finding"].seconds < result["finder1:finding"].seconds < 5


def test_one_event_in_flight_is_timed_event_by_event_on_the_cpu_clock(tmp_path):
    result = run(tmp_path, 1).result()
    assert {len(time.per_event) for time in result.values()} == {3}
    assert {time.clock for time in result.values()} == {"cpu"}


def test_a_stage_has_one_place(tmp_path):
    timer = run(tmp_path, 1)
    with pytest.raises(ValueError, match="timed already"), timer.stage(None, "finder0:finding"):
        pass


def test_rows_between_the_markers_add_up(tmp_path):
    file = tmp_path / "timing.csv"
    file.write_text(
        "identifier,time_total_s,time_perevent_s\n"
        "Reader:R,8,4\n"
        "Algorithm:StageMarker:a:finding:start,0,0\n"
        "Algorithm:Same,2,1\n"
        "Algorithm:Other,4,2\n"
        "Algorithm:StageMarker:a:finding:stop,0,0\n"
        "Algorithm:StageMarker:b:finding:start,0,0\n"
        "Algorithm:Same,6,3\n"
        "Algorithm:StageMarker:b:finding:stop,0,0\n"
        "\n"
    )
    assert stage_totals(file) == {"a:finding": 3.0, "b:finding": 3.0}
