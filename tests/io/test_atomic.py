"""A file is there in full or not at all."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import pytest

from trkx.io.atomic import AtomicFile, atomic_path
from trkx.io.errors import OutputError, OutputExistsError


def test_appears_when_complete(tmp_path):
    final = tmp_path / "new" / "file.txt"
    with atomic_path(final) as path:
        path.write_text("all of it")
        assert not final.exists()
    assert final.read_text() == "all of it"
    assert list(final.parent.iterdir()) == [final]


def test_failure_leaves_what_was_there(tmp_path):
    final = tmp_path / "file.txt"
    final.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(final, force=True) as path:
        path.write_text("half")
        raise RuntimeError
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_refuses_to_replace(tmp_path):
    final = tmp_path / "file.txt"
    final.write_text("old")
    with pytest.raises(OutputExistsError, match=r"file\.txt exists already.*--force"):
        AtomicFile(final)
    with pytest.raises(FileExistsError):
        AtomicFile(final)
    with atomic_path(final, force=True) as path:
        path.write_text("new")
    assert final.read_text() == "new"


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the output folder"):
        AtomicFile(tmp_path / "file" / "x.root")
    with pytest.raises(OutputError, match="it is a folder"):
        AtomicFile(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_is_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"):
        AtomicFile(tmp_path / "x.root")


def test_forgotten_file_is_removed(tmp_path):
    file = AtomicFile(tmp_path / "x.root")
    file.temporary.write_text("half")
    del file
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_killed_process_leaves_nothing_under_the_name(tmp_path):
    script = (
        "import sys, time\n"
        "from trkx.io.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "x.root")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".x.root.") and left.suffix == ".part"
