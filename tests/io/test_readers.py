"""What UprootEventReader puts on the whiteboard."""

from __future__ import annotations

import acts
import acts.arrow
import acts.examples
import numpy as np
import pytest

from trkx.io import errors
from trkx.io.event_files import EventFiles
from trkx.io.event_tables import columns_of_table, event_of_tables, links_of_table
from trkx.io.readers import UprootEventReader, addEventReader, sensitiveGeometryIds

KINDS = {
    "measurements": acts.examples.MeasurementContainer,
    "measurement_subset": acts.examples.MeasurementSubset,
    "spacepoints": acts.SpacePointContainer,
    "spacepoint_table": acts.arrow.ArrowTable,
    "measurement_table": acts.arrow.ArrowTable,
    "measurement_truth_table": acts.arrow.ArrowTable,
    "particle_table": acts.arrow.ArrowTable,
    "particles": acts.examples.SimParticleContainer,
    "measurement_particles_map": acts.examples.MeasurementParticlesMap,
    "particle_measurements_map": acts.examples.ParticleMeasurementsMap,
    "simhits": acts.examples.SimHitContainer,
    "measurement_simhits_map": acts.examples.MeasurementSimHitsMap,
}


class Look(acts.examples.IAlgorithm):
    """Calls `look(event number, objects)` with what is on the whiteboard."""

    def __init__(self, look, keys):
        acts.examples.IAlgorithm.__init__(self, "Look", acts.logging.WARNING)
        self.look = look
        self.handles = {}
        for key in keys:
            self.handles[key] = acts.examples.ReadDataHandle(self, KINDS[key], key)
            self.handles[key].initialize(key)

    def execute(self, context):
        found = {key: handle(context.eventStore) for key, handle in self.handles.items()}
        self.look(context.eventNumber, found)
        return acts.examples.ProcessCode.SUCCESS


def run(folder, look, keys, threads=1, skip=0, events=None, trackFpes=True, **options):
    """Run a job with the reader and an algorithm that looks."""
    count = {} if events is None else {"events": events}
    s = acts.examples.Sequencer(
        numThreads=threads, logLevel=acts.logging.ERROR, skip=skip, trackFpes=trackFpes, **count
    )
    addEventReader(s, folder, logLevel=acts.logging.WARNING, **options)
    algorithm = Look(look, keys)
    s.addAlgorithm(algorithm)
    s.run()


WITHOUT_CONTAINER = {"outputParticles": ""}  # the small sample has no mass and no charge


def test_measurements_and_space_points(sample, tmp_path):
    seen = []

    def look(number, found):
        seen.append(number)
        n = {0: 14, 1: 0, 2: 1}[number]
        first = 14 if number == 2 else 0
        for key in ("measurements", "measurement_subset", "spacepoints"):
            assert len(found[key]) == n
        columns = columns_of_table(found["spacepoint_table"])
        np.testing.assert_array_equal(columns["x"], sample.spacepoints["x"][first : first + n])
        for i in range(n):
            for one in (found["measurements"][i], found["measurement_subset"][i]):
                assert one.index == i
                assert one.geometryId.value == sample.geometry_id[first + i]
                assert list(one.subspaceIndices) == [0, 1]
                assert one.fullParameters[1] == sample.measurements["rec_loc1"][first + i]
                variance = sample.measurements["var_loc0"][first + i]
                assert one.fullCovariance[0, 0] == pytest.approx(variance)
            point = found["spacepoints"][i]
            assert point.x == sample.spacepoints["x"][first + i]
            assert point.varianceZ == pytest.approx(0.02)
            (link,) = point.sourceLinks
            assert acts.examples.IndexSourceLink.fromSourceLink(link).index() == i

    keys = ("measurements", "measurement_subset", "spacepoints", "spacepoint_table")
    run(sample.write(tmp_path), look, keys, **WITHOUT_CONTAINER)
    assert seen == [0, 1, 2]


def test_truth(sample, tmp_path):
    files = EventFiles.open(sample.write(tmp_path))

    def look(number, found):
        event = files.read(number)
        offsets, rows = links_of_table(found["measurement_truth_table"])
        np.testing.assert_array_equal(offsets, event.measurement_particle_offsets)
        np.testing.assert_array_equal(rows, event.measurement_particle_rows)
        tables = (found[key] for key in ("spacepoint_table", "measurement_truth_table"))
        again = event_of_tables(number, *tables, found["particle_table"])
        np.testing.assert_array_equal(again.particles["px"], event.particles["px"])
        np.testing.assert_array_equal(again.n_particle_measurements, event.n_particle_measurements)
        assert len(found["measurement_particles_map"]) == len(rows)
        if number == 0:
            of_last = found["measurement_particles_map"].valuesFor(12)
            assert sorted(barcode.particle for barcode in of_last) == [10, 11]
            assert found["measurement_particles_map"].valuesFor(13) == []
            assert sorted(found["particle_measurements_map"].valuesFor(of_last[0])) in (
                [0, 3, 6, 9, 12],
                [1, 4, 7, 10, 12],
            )

    keys = ("spacepoint_table", "measurement_truth_table", "particle_table")
    maps = ("measurement_particles_map", "particle_measurements_map")
    run(tmp_path, look, (*keys, *maps), **WITHOUT_CONTAINER)


def test_measurements_of_one_coordinate_and_with_time(sample, tmp_path):
    n = len(sample.event_nr)
    sample.measurements["rec_loc1"][3] = np.nan
    sample.measurements["var_loc1"][3] = np.nan
    sample.measurements["rec_time"] = np.full(n, np.nan, np.float32)
    sample.measurements["var_time"] = np.full(n, np.nan, np.float32)
    sample.measurements["rec_time"][5], sample.measurements["var_time"][5] = 7.0, 0.25

    def look(number, found):
        if number == 0:
            kinds = [list(m.subspaceIndices) for m in found["measurements"]]
            assert kinds[3] == [0]
            assert kinds[5] == [0, 1, 5]
            assert all(kinds[i] == [0, 1] for i in range(14) if i not in (3, 5))
            assert found["measurements"][5].fullParameters[5] == 7.0

    # Floating-point exceptions are trapped: NaN must not raise one.
    run(sample.write(tmp_path), look, ("measurements",), **WITHOUT_CONTAINER)


@pytest.mark.parametrize("threads", [1, 2])
def test_skipping_and_ranges(sample, tmp_path, threads):
    seen = []
    options = {"threads": threads, "trackFpes": False, **WITHOUT_CONTAINER}
    folder = sample.write(tmp_path)
    run(folder, lambda n, _: seen.append(n), ("measurements",), skip=1, **options)
    assert sorted(seen) == [1, 2]
    seen.clear()
    run(folder, lambda n, _: seen.append(n), ("measurements",), skip=1, events=1, **options)
    assert seen == [1]
    reader = UprootEventReader(folder, events=(1, 3), outputParticles="")
    assert reader.availableEvents() == (1, 3)
    with pytest.raises(errors.EventRangeError, match=r"has events 0:3"):
        UprootEventReader(folder, events=(1, 4))


def test_without_truth(sample, tmp_path):
    seen = []
    folder = sample.write(tmp_path, "spacepoints measurements")
    run(folder, lambda n, _: seen.append(n), ("spacepoint_table",), readTruth=False)
    assert seen == [0, 1, 2]


def test_options_that_do_not_go_together(sample, tmp_path):
    folder = sample.write(tmp_path, "spacepoints particles")
    with pytest.raises(errors.TreeError, match="no measurements tree"):
        UprootEventReader(folder)
    with pytest.raises(errors.ConfigError, match="needs outputMeasurements"):
        UprootEventReader(sample.write(tmp_path), outputMeasurements="")
    with pytest.raises(errors.ConfigError, match="needs outputSimHits"):
        UprootEventReader(folder, outputMeasurementSimHitsMap="x")


def test_errors_of_an_event_leave_the_sequencer(sample, tmp_path):
    sample.spacepoints["x"][2] = np.nan
    with pytest.raises(errors.NonFiniteError, match=r"'x' .* event 0 "):
        run(sample.write(tmp_path), lambda *_: None, (), **WITHOUT_CONTAINER)


def test_particle_container_needs_its_columns(sample, tmp_path):
    with pytest.raises(errors.BranchError, match=r"'particle_type' .* outputParticles=''"):
        run(sample.write(tmp_path), lambda *_: None, ())


def test_simulated_sample(tiny_sample):
    """On simulated events ACTS' space points are those of the file, and truth is complete."""
    from trkx.algorithms.detector import buildGenericDetector

    geometry = buildGenericDetector()[1]
    assert len(sensitiveGeometryIds(geometry)) == 18728
    files = EventFiles.open(tiny_sample)
    seen = []

    def look(number, found):
        seen.append(number)
        event = files.read(number)
        n = event.n_space_points
        assert len(found["spacepoints"]) == len(found["measurements"]) == n > 1000
        for axis in "xyz":
            np.testing.assert_allclose(
                getattr(found["spacepoints"], axis), event.space_points[axis], atol=1e-3
            )
        particles = list(found["particles"])
        assert len(particles) == event.n_particles
        order = np.lexsort(
            [event.particles[k] for k in ("sub_particle", "generation", "particle")]
            + [event.particles[k] for k in ("vertex_secondary", "vertex_primary")]
        )
        for name, get in {
            "px": lambda p: p.momentum[0],
            "pz": lambda p: p.momentum[2],
            "vz": lambda p: p.position[2],
            "q": lambda p: p.charge,
            "m": lambda p: p.mass,
            "particle": lambda p: p.particleId.particle,
        }.items():
            ours = np.array([get(p) for p in particles])
            np.testing.assert_allclose(ours, event.particles[name][order], rtol=1e-5, atol=1e-5)
        measurements = columns_of_table(found["measurement_table"])
        hits = files.read_hits(number)
        assert len(found["simhits"]) == len(hits["tx"])
        in_acts = list(found["simhits"])
        linked = 0
        for i in range(0, n, 50):
            near = found["measurement_simhits_map"].valuesFor(i)
            assert (len(near) > 0) == bool(np.diff(event.measurement_particle_offsets)[i])
            for j in near:
                assert in_acts[j].geometryId.value == measurements["geometry_id"][i]
            if len(near) == 1:
                linked += 1
                position = in_acts[near[0]].fourPosition
                assert position[0] == pytest.approx(measurements["true_x"][i], abs=0.2)
        assert linked > 10

    run(
        tiny_sample,
        look,
        KINDS,
        trackingGeometry=geometry,
        outputMeasurementTable="measurement_table",
        outputSimHits="simhits",
        outputMeasurementSimHitsMap="measurement_simhits_map",
    )
    assert seen == files.numbers
