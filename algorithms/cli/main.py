"""The command `trkx`: finds the subcommand asked for, and turns errors into one clean message.

Each subcommand is a module of this package with `add_parser(subparsers)` and
`run(args) -> int`. Only the one asked for is imported, so that `trkx --help` is instant and
a missing extra stops nothing but its own command.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

EXIT_OK = 0
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

# Name → what it does; the module has the same name.
COMMANDS = {
    "simulate": "make ttbar events with pile-up on the GenericDetector, as ROOT files",
    "info": "say what a file or a sample holds: events, columns, units, provenance",
    "convert": "events of the TrackML challenge to ROOT files and back",
    "run": "find and fit tracks with one finder, write and measure them",
    "compare": "several finders side by side on the same events: table, figures, report",
    "evaluate": "what each stage of a pipeline keeps, loses and costs, against the truth",
    "stages": "list the stages that pipelines are made of, and the shipped pipelines",
    "score": "the TrackML challenge's score of a submission or of labels",
    "export": "networks of a pipeline as TorchScript or ONNX, for ACTS' GNN plugin",
    "serve": "find tracks as a service: a Triton server with our models",
    "bench": "measure throughput and overhead of the service on this machine",
    "train": "learn the graph maps and networks that trkx ships, from scratch",
    "prune": "make a trained interaction GNN smaller and faster, and measure what it loses",
    "doctor": "versions, extras, devices and weights: what is there and what is missing",
}

EPILOG = """\
a first session:
  trkx simulate --events 4 --pileup 200 --seed 1 --out sample
  trkx info sample
  trkx run --input sample --finder gnn --fitter kf --out tracks
  trkx compare --input sample --finders gnn,classical,ckf --fitters kf,gx2f --out comparison

`trkx COMMAND --help` explains one command with examples.
Exit codes: 0 done, 2 the input or a setting cannot be used, 130 interrupted.
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser that names the nearest option for a misspelt one."""

    def error(self, message: str) -> NoReturn:
        hint = ""
        if message.startswith("unrecognized arguments: "):
            options = [o for a in _all_actions(self) for o in a.option_strings]
            unknown = [w for w in message.split()[2:] if w.startswith("-")]
            found = [m for w in unknown for m in difflib.get_close_matches(w, options, n=1)]
            hint = f"; did you mean {', '.join(found)}?" if found else ""
        self.exit(EXIT_ERROR, f"{self.prog}: error: {message}{hint}\nTry: {self.prog} --help\n")


class _CommandParser(_Parser):
    """The parser of one command."""

    command: argparse.ArgumentParser  # what comes after `trkx COMMAND`


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                actions.extend(sub._actions)
    return actions


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("trkx")
    except PackageNotFoundError:
        return "unknown"


def _top_parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
    parser = _Parser(
        prog="trkx",
        usage="trkx [--version] [--verbose] [--debug] COMMAND [options]",
        description="Find tracks in ACTS' event loop with graph neural networks, beside the CKF."
        f"\n\ncommands:\n{commands}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trkx {_version()}")
    _add_common_options(parser)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    taken = {option for action in parser._actions for option in action.option_strings}
    for option, text in (
        ("--verbose", "let ACTS and trkx say what they do"),
        ("--debug", "show the whole traceback of an error"),
    ):
        if option not in taken:
            parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)


def _command_parser(module: object, command: str) -> _CommandParser:
    parser = _CommandParser(prog="trkx")
    subparsers = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    module.add_parser(subparsers)  # type: ignore[attr-defined]
    parser.command = subparsers.choices[command]
    _add_common_options(parser.command)
    return parser


def _is_expected(error: BaseException) -> bool:
    """Whether `error` is one that trkx raises on purpose, with a message for the user."""
    from trkx.io.errors import TrkxError

    expected: tuple[type[BaseException], ...] = (TrkxError,)
    # Errors of plugin and fits can only have been raised if these have been imported.
    for module, base in (
        ("trkx.plugin.errors", "TrackFindingError"),
        ("trkx.fitting.errors", "FittingError"),
    ):
        if module in sys.modules:
            expected += (getattr(sys.modules[module], base),)
    return isinstance(error, expected)


def _missing_extra(error: ImportError) -> str | None:
    """The message for a third-party package that is not installed; None for our own bugs."""
    from trkx.algorithms.cli.extras import EXTRA_OF_MODULE

    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return extra and f"this needs {module}; install it with: pip install 'trkx[{extra}]'"


def _report(error: BaseException, command: str, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    print(f"trkx {command}: error: {error}", file=sys.stderr)
    return EXIT_ERROR


def _run_command(command: str, arguments: Sequence[str], verbose: bool, debug: bool) -> int:
    try:
        module = importlib.import_module(f"trkx.algorithms.cli.{command}")
        parser = _command_parser(module, command)
        args, unknown = parser.parse_known_args([command, *arguments])
        if unknown:
            # Of the command, not of `trkx`: its own help is what to look at.
            parser.command.error(f"unrecognized arguments: {' '.join(unknown)}")
        args.verbose = getattr(args, "verbose", False) or verbose
        args.debug = debug = getattr(args, "debug", False) or debug
        return int(module.run(args) or EXIT_OK)
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print(f"trkx {command}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `trkx info … | head`: the reader has seen enough. Python would complain once more
        # when it flushes stdout on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except ImportError as error:
        if _is_expected(error):
            return _report(error, command, debug)
        message = _missing_extra(error)
        if message is None:
            raise
        return _report(ImportError(message), command, debug)
    except Exception as error:
        if not _is_expected(error):
            raise
        return _report(error, command, debug)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process) and return its exit code."""
    parser = _top_parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return EXIT_OK
    if args.command == "help":
        args.command, args.arguments = (args.arguments or [None])[0], ["--help"]
        if args.command is None:
            parser.print_help()
            return EXIT_OK
    if args.command not in COMMANDS:
        near = difflib.get_close_matches(args.command, COMMANDS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        print(
            f"trkx: error: no command {args.command!r}{hint} Commands: {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return EXIT_ERROR
    return _run_command(
        args.command,
        args.arguments,
        verbose=getattr(args, "verbose", False),
        debug=getattr(args, "debug", False),
    )


if __name__ == "__main__":
    sys.exit(main())
