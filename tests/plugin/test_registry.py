"""Stages by name: those of trkx, and those that packages on the path add."""

import pytest

from trkx.plugin.errors import MissingExtraError, StageError
from trkx.plugin.registry import KINDS, StageEntry, find_stage, stage_entries

BUILDER = '''
class Nothing:
    """Finds nothing.

    More words.
    """

    @classmethod
    def from_settings(cls, settings, context):
        return cls()

    def __call__(self, graph):
        raise NotImplementedError
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a package with entry points on the path, as pip installs it."""

    def install(name, points, source=BUILDER, version="1.0", kind="track_builders"):
        folder = tmp_path / name
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[trkx.{kind}]", *(f"{stage} = {target}" for stage, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (folder / f"{name}_stages.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    return install


def test_every_name_of_ours_is_listed_once():
    for kind in KINDS:
        names = [entry.name for entry in stage_entries(kind) if entry.package == "trkx"]
        assert len(set(names)) == len(names) > 3


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [
        ("graph_constructors", "layer_map", "local"),
        ("edge_classifiers", "fast", "local"),
        ("track_builders", "viterbi", "local"),
    ],
)
def test_ours_load_and_say_what_they_are(kind, name, extra):
    entry = find_stage(kind, name)
    kind_of_stage = entry.load()
    assert callable(kind_of_stage.from_settings)
    assert entry.summary() == kind_of_stage.__doc__.partition("\n")[0]
    assert (entry.extra, entry.origin) == (extra, "trkx")


def test_a_missing_extra_is_named():
    entry = StageEntry("track_builders", "viterbi", "nowhere:None", needs=("no_such_module",))
    with pytest.raises(MissingExtraError, match=r"stage 'viterbi' needs .*trkx\[local\]"):
        entry.load()


def test_unknown_names_get_the_nearest_one_or_the_right_kind():
    with pytest.raises(StageError, match="no stage 'viterby' .*did you mean 'viterbi'"):
        find_stage("track_builders", "viterby")
    with pytest.raises(StageError, match="it is one of the edge classifiers"):
        find_stage("track_builders", "fast")


def test_another_package_adds_a_stage(package):
    package("greedy", {"greedy": "greedy_stages:Nothing"})
    entry = find_stage("track_builders", "greedy")
    assert entry in stage_entries("track_builders")
    assert entry.origin == "greedy 1.0"
    assert entry.summary() == "Finds nothing."
    assert entry.load().__name__ == "Nothing"
    with pytest.raises(StageError, match="did you mean 'greedy'"):
        find_stage("track_builders", "gready")


def test_two_packages_with_one_name_are_both_named(package):
    package("first", {"same": "first_stages:Nothing"})
    package("second", {"same": "second_stages:Nothing"}, version="2.1")
    with pytest.raises(StageError, match=r"first 1.0, second 2.1; uninstall all but one"):
        find_stage("track_builders", "same")


def test_a_name_of_ours_stays_ours(package):
    package("thief", {"viterbi": "thief_stages:Nothing"})
    assert find_stage("track_builders", "viterbi").package == "trkx"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("broken_stages:Nothing", "ZeroDivisionError: division by zero; mend or remove it: pip"),
        ("nowhere.at_all:Nothing", "cannot be imported: ModuleNotFoundError"),
        ("broken_stages", "cannot be imported"),
    ],
)
def test_a_broken_entry_point_names_its_package(package, target, message):
    package("broken", {"broken": target}, source="1 / 0")
    entry = find_stage("track_builders", "broken")
    with pytest.raises(StageError, match=rf"stage 'broken' of broken 1.0 .*{message}"):
        entry.load()
    assert entry.summary().startswith("(broken: ")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Nothing:\n    pass", "no class method from_settings"),
        (BUILDER.replace("__call__", "run"), "expected a class whose instances are called"),
        ("def Nothing(): ...\nNothing.from_settings = Nothing", "expected a class whose instances"),
    ],
)
def test_what_is_no_stage_is_refused(package, source, message):
    package("odd", {"odd": "odd_stages:Nothing"}, source=source)
    with pytest.raises(StageError, match=rf"of odd 1.0 .* is no stage: .*{message}"):
        find_stage("track_builders", "odd").load()
    import sys

    sys.modules.pop("odd_stages", None)
