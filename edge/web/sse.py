"""Server-sent events: the same few strings for all viewers, each of whom reads at its own pace."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from edge.web.history import Feed
from edge.web.metrics import Board
from edge.web.spectrogram import Spectrogram

log = logging.getLogger(__name__)

TICK_S = 0.2  # from one message to the next
KEPT = 50  # ticks that a viewer may be late; what is older it does not get to see
BEAT_S = 15.0  # a stream that says nothing is closed by what lies between
RETRY_MS = 2000  # after which a browser comes back


class Live:
    """Lives in the server's event loop: `run` ticks, each viewer iterates over a stream."""

    def __init__(self, feed: Feed, spectrogram: Spectrogram, board: Board) -> None:
        self.closing = False  # may be set by any thread; streams end at the next tick
        self._feed, self._spectrogram, self._board = feed, spectrogram, board
        self._frames: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._ticks = 0
        self._watched = 0  # pages; programs that read captions alone need no picture
        self._news = asyncio.Event()
        self._told = False  # that a frame failed

    async def run(self) -> None:
        """Tick until `closing`."""
        while not self.closing:
            self._ticks += 1
            try:
                if self._watched:
                    self._frames.append((self._ticks, self._frame()))
            except Exception as error:  # The next may do; events go on in any case.
                if not self._told:
                    trace = log.isEnabledFor(logging.DEBUG)
                    log.error("page: no picture (%r); the page goes on", error, exc_info=trace)
                self._told = True
            self._wake()
            await asyncio.sleep(TICK_S)
        self._wake()

    def _frame(self) -> str:
        frame = _message("status", self._board.status())
        for columns in self._spectrogram.paint():
            frame += _message("columns", columns.data())
        return frame

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def page(self, mark: str) -> AsyncIterator[str]:
        """All that the page shows: the recent history, or what is new since `mark`, and so on."""
        tick, change = self._ticks, self._feed.after(mark)
        start = f"retry: {RETRY_MS}\n\n" + _message("hello", {"run": self._feed.run})
        for columns in self._spectrogram.minute():
            start += _message("columns", columns.data())
        self._board.viewers += 1
        self._watched += 1
        try:
            yield start
            while not self.closing:
                # In this order: what is at its end on the picture has its words already.
                text, change = self._events(change)
                for number, frame in self._frames:
                    if number > tick:
                        text, tick = text + frame, number
                if text:
                    yield text
                await self._news.wait()
        finally:
            self._board.viewers -= 1
            self._watched -= 1

    def _events(self, change: int) -> tuple[str, int]:
        records = self._feed.since(change)
        if not records:
            return "", change
        change = records[-1].change
        # As they opened: who comes late then has them in the order of who was there.
        data = [record.data() for record in sorted(records, key=lambda record: record.key)]
        return _message("events", data, self._feed.mark(change)), change

    async def captions(self, mark: str | None) -> AsyncIterator[str]:
        """A message for each event, each time that it opens, is reworded or closes.

        Of what happens from now on; with a `mark`, of all that is kept since then.
        """
        change = self._feed.changes if mark is None else self._feed.after(mark)
        loop = asyncio.get_running_loop()
        said = loop.time()
        self._board.viewers += 1
        try:
            yield f"retry: {RETRY_MS}\n\n"
            while not self.closing:
                text = ""
                for record in self._feed.since(change):
                    change = record.change
                    text += _message(None, record.data(), self._feed.mark(change))
                if not text and loop.time() - said > BEAT_S:
                    text = ": nothing new\n\n"
                if text:
                    yield text
                    said = loop.time()
                await self._news.wait()
        finally:
            self._board.viewers -= 1


def _message(event: str | None, data: Any, mark: str | None = None) -> str:
    """One server-sent event; JSON has no line breaks of its own, so its data is one line."""
    head = f"event: {event}\n" if event else ""
    if mark:
        head += f"id: {mark}\n"
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n"
