"""The command line: help, errors and exit codes."""

import subprocess
import sys
import time

import pytest

from trkx.algorithms.cli import main as cli
from trkx.io.errors import ConfigError
from trkx.plugin.errors import DeviceError


def call(capsys, *arguments):
    """Return (exit code, stdout, stderr) of `trkx arguments`."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def fake_command(monkeypatch):
    """A command `fake` whose `run` is what the test says."""

    def install(run):
        class Module:
            @staticmethod
            def add_parser(subparsers):
                subparsers.add_parser("fake").add_argument("--number", type=int, default=0)

        Module.run = staticmethod(run)
        monkeypatch.setitem(cli.COMMANDS, "fake", "for tests")
        monkeypatch.setitem(sys.modules, "trkx.algorithms.cli.fake", Module)
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: sys.modules[name])

    return install


def test_help_lists_all_commands(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for command in cli.COMMANDS:
        assert f"\n  {command} " in out


def test_no_command_prints_the_help(capsys):
    code, out, _ = call(capsys)
    assert code == 0
    assert "a first session" in out


def test_help_is_fast():
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "trkx.algorithms.cli.main", "--help"], check=True)
    assert time.perf_counter() - start < 2  # 0.1 s on an idle machine


@pytest.mark.parametrize(
    "command", ["simulate", "info", "run", "compare", "stages", "train", "doctor"]
)
def test_every_command_teaches(capsys, command):
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert f"trkx {command}" in out
    again, same, _ = call(capsys, "help", command)
    assert (again, same) == (code, out)


def test_an_unknown_command_names_the_nearest(capsys):
    code, _, err = call(capsys, "simulat")
    assert code == 2
    assert "did you mean 'simulate'?" in err


def test_an_unknown_option_names_the_nearest(capsys):
    code, _, err = call(capsys, "run", "--findr", "gnn", "--inptu", "x")
    assert code == 2
    assert "--finder" in err
    assert "Traceback" not in err
    code, _, err = call(capsys, "compare", "--findrs", "gnn")
    assert code == 2
    assert err == (
        "trkx compare: error: unrecognized arguments: --findrs gnn; did you mean --finders?\n"
        "Try: trkx compare --help\n"
    )


@pytest.mark.parametrize("error", [ConfigError("threads: 0"), DeviceError("no cuda here")])
def test_expected_errors_become_one_line(capsys, fake_command, error):
    def run(args):
        raise error

    fake_command(run)
    code, out, err = call(capsys, "fake")
    assert (code, out, err) == (2, "", f"trkx fake: error: {error}\n")


def test_debug_shows_the_traceback(capsys, fake_command):
    def run(args):
        raise ConfigError("threads: 0")

    fake_command(run)
    for arguments in (("--debug", "fake"), ("fake", "--debug")):
        code, _, err = call(capsys, *arguments)
        assert code == 2
        assert "Traceback" in err


def test_an_interrupt_is_130(capsys, fake_command):
    def run(args):
        raise KeyboardInterrupt

    fake_command(run)
    assert call(capsys, "fake") == (130, "", "trkx fake: interrupted\n")


def test_a_missing_extra_names_the_command_that_installs_it(capsys, fake_command):
    def run(args):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    fake_command(run)
    code, _, err = call(capsys, "fake")
    assert code == 2
    assert "pip install 'trkx[local]'" in err


def test_our_own_mistakes_are_not_hidden(fake_command):
    def run(args):
        raise ZeroDivisionError

    fake_command(run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["fake"])


def test_exit_codes_pass(capsys, fake_command):
    fake_command(lambda args: args.number)
    assert call(capsys, "fake", "--number", "3")[0] == 3
    assert call(capsys, "fake")[0] == 0


def test_doctor(capsys):
    code, out, _ = call(capsys, "doctor")
    assert code == 0
    assert "18728 modules" in out
    assert "pyacts" in out
    assert "layer_map → fast → viterbi" in out
    assert out.endswith("trkx is ready\n")
