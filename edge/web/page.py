"""The page as a sink: results go into the feed, and the server streams them to viewers."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

from edge.inference.features import Floats
from edge.streaming.device_manager import DeviceManager
from edge.streaming.results import WindowResult
from edge.web.address import Address, with_port
from edge.web.app import make_app
from edge.web.auth import Access
from edge.web.history import Feed
from edge.web.metrics import Board
from edge.web.server import Server, listen
from edge.web.spectrogram import Spectrogram
from edge.web.sse import Live
from edge.web.token import load_token, show_link, token_path

log = logging.getLogger(__name__)

END_S = 2.0  # Seconds that the server may take to end; the end of the run does not wait as long.


class Page:
    """Serves the page on `address` until it is closed.

    Parameters
    ----------
    address
        Address to listen on.
    device_manager
        The manager of the devices that the page shows.

    Raises
    ------
    OutputError
        If the address is not available, or the token cannot be read or made.
    """

    def __init__(self, address: Address, device_manager: DeviceManager) -> None:
        path = None if address.local else token_path()
        token, is_new = (None, False) if path is None else load_token(path)
        sock = listen(address)
        self.port = sock.getsockname()[1]
        self.address = replace(address, port=self.port)
        self.name = f"page on http://{with_port(self.address.host, self.address.port)}/"
        self._feed = Feed()
        self._spectrogram = Spectrogram(lambda: device_manager.features.sample_rate)
        board = Board(device_manager, self._feed)
        live = Live(self._feed, self._spectrogram, board)
        app = make_app(self._feed, live, board, Access(self.address, token))
        self._server = Server(app, live, sock)
        self._server.start()
        log.info("%s", self.name)
        if token is not None and is_new and sys.stderr.isatty():
            show_link(self.address, token)
        elif token is not None:
            log.info("the page's token is in %s; its link ends in /?token=...", path)

    def of(self, result: WindowResult) -> WindowResult:
        """Return `result`, which is also the piece."""
        return result

    def end(self) -> None:
        """Add nothing at the end of a run."""

    def put(self, piece: WindowResult) -> None:
        """Add `piece` to the history."""
        self._feed.push(piece)

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Pass audio of `device` to the spectrogram; see `edge.sinks.base.HearingSink`."""
        self._spectrogram.hear(device, start_s, samples)

    def close(self) -> None:
        """Stop the server."""
        self._server.close(END_S)
