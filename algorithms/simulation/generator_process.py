"""The event generator in a process of its own, so that it works while ACTS does.

A plain child process with a line of JSON per request, not `multiprocessing`: that would run the
caller's main script again in the child, which breaks interactive use and scripts without a guard,
and leaves the child behind when the parent is killed. This one ends when its input closes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import TextIO

from trkx.algorithms.simulation.settings import SimulationSettings


class GeneratorProcess:
    """Writes bunch crossings in a child process; requests are answered in their order.

    Args:
        settings: what to generate.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send(settings.as_dict())

    def request(self, path: Path, first: int, events: int) -> None:
        """Ask for `events` crossings from event `first` on in the HepMC3 file `path`."""
        self._send({"path": str(path), "first": first, "events": events})

    def wait(self) -> int:
        """Wait for the earliest request that is not answered.

        Returns:
            the fixed number of collisions per crossing in its file.

        Raises:
            RuntimeError: the generator has failed; it has said why on standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        return int(json.loads(line))

    def __enter__(self) -> GeneratorProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                # What was still to be sent to a process that is gone.
                continue
        self._process.wait()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def _failed(self) -> RuntimeError:
        code = self._process.wait()
        return RuntimeError(
            f"the event generator stopped with exit code {code}; "
            "its own message is on standard error"
        )


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the input closes; the first line holds the settings."""
    from trkx.algorithms.simulation.generator import CrossingGenerator

    generator = CrossingGenerator(SimulationSettings.from_dict(json.loads(requests.readline())))
    for line in requests:
        request = json.loads(line)
        multiplicity = generator.write(Path(request["path"]), request["first"], request["events"])
        answers.write(f"{json.dumps(multiplicity)}\n")
        answers.flush()


def main() -> None:
    """Run the child process."""
    # Ctrl-C reaches the whole process group; the parent deals with it and closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(sys.stdin, sys.stdout)
    except BrokenPipeError:
        # The parent was killed. Nobody is there to be told; skip Python's own flush of stdout too.
        os._exit(1)
