"""Result folders: all or nothing."""

import os

import pytest

from trkx.algorithms.job_output import result_folder, results_in
from trkx.io.errors import OutputError, OutputExistsError


def test_files_arrive_only_at_the_end(tmp_path):
    out = tmp_path / "a" / "b"
    with result_folder(out) as folder:
        (folder / "job.json").write_text("{}")
        assert results_in(out) == []
    assert [path.name for path in out.iterdir()] == ["job.json"]


def test_a_failure_leaves_nothing(tmp_path):
    out = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError), result_folder(out) as folder:
        (folder / "job.json").write_text("{}")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_old_results(tmp_path):
    (tmp_path / "performance.json").write_text("old")
    with pytest.raises(RuntimeError), result_folder(tmp_path, force=True) as folder:
        (folder / "performance.json").write_text("new")
        raise RuntimeError
    assert (tmp_path / "performance.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_results_are_not_replaced_without_force(tmp_path):
    (tmp_path / "performance.json").write_text("old")
    with pytest.raises(OutputExistsError, match=r"performance\.json.*--force"):
        with result_folder(tmp_path):
            pass
    assert (tmp_path / "performance.json").read_text() == "old"


def test_force_replaces_results_and_nothing_else(tmp_path):
    for name in ("performance.json", "tracksummary_ckf_kf.root", "notes.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / ".unfinished-x").mkdir()
    with result_folder(tmp_path, force=True) as folder:
        (folder / "performance.json").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "performance.json"]
    assert (tmp_path / "performance.json").read_text() == "new"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"), result_folder(tmp_path / "out"):
        pass
    with pytest.raises(OutputError, match="is a file"), result_folder(tmp_path / "out" / "x"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot"), result_folder(tmp_path / "out"):
        pass


def test_the_message_of_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match="cannot write .*Permission denied"):
        with result_folder(tmp_path / "out"):
            pass
    assert list(tmp_path.iterdir()) == []
