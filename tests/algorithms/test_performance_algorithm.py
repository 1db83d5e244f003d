"""The sequencer element: tables and tracks of the whiteboard in, figures out."""

import acts
import acts.arrow
import acts.examples
import numpy as np
import pytest

from trkx.algorithms.performance_algorithm import addPerformance
from trkx.algorithms.performance_collector import PerformanceCollector
from trkx.algorithms.track_hits import TrackHits, make_proto_tracks
from trkx.io.errors import ConfigError
from trkx.io.event import Event
from trkx.io.event_tables import table_of_columns, table_of_links
from trkx.io.reader_containers import all_measurements


def make_event(number, n_particles=40, n_hits=9):
    """Straight particles from the beam line, each with `n_hits` measurements, and noise."""
    random = np.random.default_rng(number)
    phi = random.uniform(-np.pi, np.pi, n_particles)
    eta = random.uniform(-2, 2, n_particles)
    pt = random.uniform(1.1, 5, n_particles)
    zero = np.zeros(n_particles)
    particles = {
        "vx": zero,
        "vy": zero,
        "vz": random.normal(0, 50, n_particles),
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "q": random.choice([-1.0, 1.0], n_particles),
        "vertex_primary": np.arange(1, n_particles + 1),
    }
    r = np.tile(np.linspace(30, 1000, n_hits), n_particles)
    owner = np.repeat(np.arange(n_particles), n_hits)
    n_noise = 30
    # Fifteen measurements are merged with a hit of another particle.
    merged = random.choice(len(owner), 15, replace=False) if n_particles else []
    rows = owner.tolist()
    lists = [[row] for row in rows] + [[] for _ in range(n_noise)]
    for m in merged:
        lists[m].append(int((rows[m] + 1) % n_particles))
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in lists])]).astype(np.int64)
    flat = np.array([row for entry in lists for row in entry], dtype=np.int64)
    x, y = r * np.cos(phi[owner]), r * np.sin(phi[owner])
    z = particles["vz"][owner] + r * np.sinh(eta[owner])
    noise = random.normal(0, 300, (3, n_noise))
    points = {
        "x": np.concatenate([x, noise[0]]).astype(np.float32),
        "y": np.concatenate([y, noise[1]]).astype(np.float32),
        "z": np.concatenate([z, noise[2]]).astype(np.float32),
        "measurement_id": np.arange(len(lists), dtype=np.uint32),
    }
    return Event(number, points, {}, particles, offsets, flat)


def make_tracks(event, n_hits=9):
    """Seven good tracks in ten, a part of the others, a duplicate and two fakes."""
    random = np.random.default_rng(100 + event.number)
    n_particles = len(event.particles["q"])
    tracks = []
    for p in range(n_particles):
        hits = np.arange(p * n_hits, (p + 1) * n_hits)
        if p % 10 < 7:
            tracks.append(hits)
        elif p % 10 == 7:
            tracks.append(hits[:3])
    tracks.append(np.arange(0, 7))
    for _ in range(2):
        tracks.append(random.choice(n_particles, 8, replace=False) * n_hits + 4)
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in tracks])]).astype(np.int64)
    return TrackHits(offsets, np.concatenate(tracks).astype(np.int64))


class Source(acts.examples.IAlgorithm):
    """Puts an event and its tracks on the whiteboard."""

    def __init__(self, empty=False, truth=True):
        acts.examples.IAlgorithm.__init__(self, "Source", acts.logging.WARNING)
        self.empty = empty
        self.kept = []
        table, examples = acts.arrow.ArrowTable, acts.examples
        self.handles = {}
        outputs = {"protos": examples.ProtoTrackContainer}
        outputs["measurements"] = examples.MeasurementContainer
        outputs["measurement_subset"] = examples.MeasurementSubset
        outputs["measurement_particles_map"] = examples.MeasurementParticlesMap
        outputs["particles"] = examples.SimParticleContainer
        outputs["particle_measurements_map"] = examples.ParticleMeasurementsMap
        if truth:
            outputs |= dict.fromkeys(
                ("spacepoint_table", "measurement_truth_table", "particle_table"), table
            )
        for key, kind in outputs.items():
            self.handles[key] = examples.WriteDataHandle(self, kind, key)
            self.handles[key].initialize(key)

    def execute(self, context):
        event = make_event(context.eventNumber, 0 if self.empty else 40)
        hits = TrackHits(np.zeros(1, np.int64), np.zeros(0, np.int64))
        if not self.empty:
            hits = make_tracks(event)
        values = {
            "protos": make_proto_tracks(hits),
            "spacepoint_table": table_of_columns(event.space_points),
            "measurement_truth_table": table_of_links(
                event.measurement_particle_offsets, event.measurement_particle_rows
            ),
            "particle_table": table_of_columns(event.particles),
            **acts_truth(event),
        }
        # The whiteboard takes the container away, and a subset only points to its own.
        self.kept.append(acts_truth(event)["measurements"])
        values["measurement_subset"] = all_measurements(self.kept[-1])
        for key, handle in self.handles.items():
            handle(context, values[key])
        return acts.examples.ProcessCode.SUCCESS


def acts_truth(event):
    """The same truth as ACTS' own containers."""
    examples = acts.examples
    measurements, links = examples.MeasurementContainer(), examples.MeasurementParticlesMap()
    particles = examples.SimParticleContainer()
    barcodes = []
    for row in range(len(event.particles["q"])):
        barcode = examples.SimBarcode()
        barcode.vertexPrimary = 1
        barcode.particle = row + 1
        barcodes.append(barcode)
        particle = examples.SimParticle(barcode, acts.PdgParticle.ePionPlus, 1.0, 0.14)
        particle.direction = acts.Vector3(1, 0, 0)
        particle.absoluteMomentum = 2.0
        particle.numberOfHits = 9
        particles.insert(particle)
    offsets = event.measurement_particle_offsets
    for m in range(len(offsets) - 1):
        measurements.emplaceMeasurement(
            acts.GeometryIdentifier(volume=8, layer=2, sensitive=1),
            [0, 1],
            [0.0, 0.0],
            [1.0, 1.0],
        )
        for row in event.measurement_particle_rows[offsets[m] : offsets[m + 1]]:
            links.insert(m, barcodes[row])
    return {
        "measurements": measurements,
        "measurement_particles_map": links,
        "particle_measurements_map": links.invert(),
        "particles": particles,
    }


def run(add, events=3, threads=1, **source):
    s = acts.examples.Sequencer(
        events=events, numThreads=threads, logLevel=acts.logging.WARNING, trackFpes=False
    )
    s.addAlgorithm(Source(**source))
    result = add(s)
    s.run()
    return result


def to_tracks(s):
    s.addAlgorithm(
        acts.examples.ProtoTracksToTracks(
            level=acts.logging.WARNING,
            inputMeasurements="measurement_subset",
            inputProtoTracks="protos",
            outputTracks="tracks",
        )
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_proto_tracks_from_the_whiteboard(threads):
    collector = run(lambda s: addPerformance(s, "gnn", inputProtoTracks="protos"), threads=threads)
    pt1 = collector.finders["gnn"].targets["pt1"]
    assert (pt1.efficiency["all"].passed, pt1.efficiency["all"].total) == (84, 120)
    assert (pt1.n_tracks, pt1.n_fakes, pt1.n_duplicates) == (93, 6, 3)
    assert list(collector.events) == [0, 1, 2]
    assert collector.fits["gnn"] == {}
    display = collector.display
    assert display.positions.shape == (390, 3)
    assert set(display.finders) == {"gnn"}


def test_tracks_and_proto_tracks_are_treated_alike():
    def add(s):
        to_tracks(s)
        collector = PerformanceCollector()
        addPerformance(s, "gnn", inputProtoTracks="protos", collector=collector)
        addPerformance(s, "ckf", inputTracks="tracks", collector=collector)
        return collector

    collector = run(add)
    gnn, ckf = (collector.finders[name].targets["pt1"] for name in ("gnn", "ckf"))
    assert gnn.efficiency["all"].passed == ckf.efficiency["all"].passed
    assert gnn.fakes["eta"].to_dict() == ckf.fakes["eta"].to_dict()
    # These tracks were never fitted, which must not pass unnoticed.
    fit = collector.fits["ckf"]["ckf"]
    assert fit.n_fitted == 0
    assert fit.failures == {"no parameters at the perigee": fit.n_found}


def test_against_the_matcher_of_acts():
    writers = []

    def add(s):
        to_tracks(s)
        s.addAlgorithm(
            acts.examples.TrackTruthMatcher(
                level=acts.logging.WARNING,
                inputTracks="tracks",
                inputParticles="particles",
                inputMeasurementParticlesMap="measurement_particles_map",
                outputTrackParticleMatching="track_particle",
                outputParticleTrackMatching="particle_track",
                matchingRatio=0.5,
                doubleMatching=True,
            )
        )
        writer = acts.examples.PythonPatternRecognitionPerformanceWriter(
            level=acts.logging.WARNING,
            inputTracks="tracks",
            inputParticles="particles",
            inputTrackParticleMatching="track_particle",
            inputParticleTrackMatching="particle_track",
            inputParticleMeasurementsMap="particle_measurements_map",
        )
        s.addWriter(writer)
        writers.append(writer)
        return addPerformance(s, "gnn", inputProtoTracks="protos")

    collector = run(add)
    stats = writers[0].stats()
    pt1 = collector.finders["gnn"].targets["pt1"]
    n_tracks = collector.finders["gnn"].n_tracks
    assert stats["nTotalTracks"] == n_tracks
    assert stats["nTotalParticles"] == pt1.efficiency["all"].total
    assert stats["nTotalMatchedParticles"] == pt1.efficiency["all"].passed
    assert stats["nTotalDuplicateTracks"] == pt1.n_duplicates
    # Three of nine measurements are no majority by either rule: these short tracks are fakes, too.
    n_short = 3 * 4
    assert stats["nTotalFakeTracks"] == pt1.n_fakes + n_short


def test_truth_from_files():
    class Files:
        def read(self, number, truth=True):
            assert truth
            return make_event(number)

    collector = run(
        lambda s: addPerformance(s, "gnn", inputProtoTracks="protos", events=Files()), truth=False
    )
    assert collector.finders["gnn"].targets["pt1"].efficiency["all"].passed == 84


def test_empty_events_count_as_events():
    def add(s):
        to_tracks(s)
        return addPerformance(s, "ckf", inputTracks="tracks")

    collector = run(add, empty=True)
    assert collector.finders["ckf"].n_events == 3
    assert collector.finders["ckf"].targets["pt1"].n_tracks == 0
    assert collector.fits["ckf"]["ckf"].n_events == 3


def test_collectors_merge():
    def collect():
        return run(lambda s: addPerformance(s, "gnn", inputProtoTracks="protos"), events=1)

    first, second = collect(), collect()
    first.merge(second)
    assert first.finders["gnn"].targets["pt1"].efficiency["all"].total == 80


@pytest.mark.parametrize("inputs", [{}, {"inputTracks": "a", "inputProtoTracks": "b"}])
def test_one_kind_of_tracks_is_needed(inputs):
    with pytest.raises(ConfigError, match="either inputTracks or inputProtoTracks"):
        addPerformance(None, "gnn", **inputs)
