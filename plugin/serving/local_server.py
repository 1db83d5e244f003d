"""A server that a job starts for itself when those it was given are gone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from trkx.plugin.serving.endpoint import Endpoint
from trkx.plugin.serving.repository import RepositoryConfig, write_repository
from trkx.plugin.serving.server import ServerConfig, TritonServer


class LocalServer:
    """Triton on free ports of this machine, serving one pipeline as the model `trkx`."""

    def __init__(self, pipeline: str, target: str, weights: str = "") -> None:
        """Remember what to serve; nothing is started."""
        self.config = RepositoryConfig(("trkx",), pipeline, target, weights)
        self._server: TritonServer | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> Endpoint:
        """Start the server, anew if it ended, and return where it is.

        Raises:
            ServerError: there is no Triton here, or it does not start.
        """
        if self._server is None:
            self._folder = tempfile.TemporaryDirectory(prefix="trkx-models-")
            repository = write_repository(Path(self._folder.name), self.config)
            server = TritonServer(
                ServerConfig(repository, grpc_port=0, http_port=0, metrics_port=0)
            )
            try:
                self._server = server.start()
            except BaseException:
                self.stop()
                raise
        elif self._server.what_ended() is not None:
            self._server.restart()
        return self._server.endpoint

    def stop(self) -> None:
        """Stop the server and remove its files."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
