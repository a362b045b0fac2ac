"""Server-sent events. All viewers share the same messages and read them at their own pace."""

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

TICK_S = 0.2  # Seconds between two messages.
KEPT = 50  # Number of ticks that a viewer may lag; older frames are lost to it.
BEAT_S = 15.0  # Seconds of silence after which a comment is sent, so that proxies keep the stream.
RETRY_MS = 2000  # Milliseconds after which a browser reconnects.


class Live:
    """The streams of all viewers, in the server's event loop.

    `run` makes one frame per tick. Each viewer iterates over its own `page` or `captions` stream.
    """

    def __init__(self, feed: Feed, spectrogram: Spectrogram, board: Board) -> None:
        self.closing = False  # Any thread may set this; streams end at the next tick.
        self._feed, self._spectrogram, self._board = feed, spectrogram, board
        self._frames: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._ticks = 0
        self._watched = 0  # Number of open pages; `captions` viewers need no frames.
        self._tick_done = asyncio.Event()
        self._failed_logged = False  # True once an error in a frame was logged.

    async def run(self) -> None:
        """Make a frame every `TICK_S` seconds until `closing` is set."""
        while not self.closing:
            self._ticks += 1
            try:
                if self._watched:
                    self._frames.append((self._ticks, self._frame()))
            except Exception as error:  # Later frames and the events go on.
                if not self._failed_logged:
                    trace = log.isEnabledFor(logging.DEBUG)
                    log.error("page: no picture (%r); the page goes on", error, exc_info=trace)
                self._failed_logged = True
            self._wake()
            await asyncio.sleep(TICK_S)
        self._wake()

    def _frame(self) -> str:
        frame = _message("status", self._board.status())
        for columns in self._spectrogram.paint():
            frame += _message("columns", columns.data())
        return frame

    def _wake(self) -> None:
        done, self._tick_done = self._tick_done, asyncio.Event()
        done.set()

    async def page(self, mark: str) -> AsyncIterator[str]:
        """Yield the messages of the page, from the recent history on.

        Parameters
        ----------
        mark
            Mark of the last events that the viewer got; "" for a new viewer.

        Yields
        ------
        str
            One or more server-sent events: "hello", "columns", "events" and "status".
        """
        tick, change = self._ticks, self._feed.after(mark)
        start = f"retry: {RETRY_MS}\n\n" + _message("hello", {"run": self._feed.run})
        for columns in self._spectrogram.minute():
            start += _message("columns", columns.data())
        self._board.viewers += 1
        self._watched += 1
        try:
            yield start
            while not self.closing:
                # Events go first, so that a sound has its caption when the spectrogram shows it.
                text, change = self._events(change)
                for number, frame in self._frames:
                    if number > tick:
                        text, tick = text + frame, number
                if text:
                    yield text
                await self._tick_done.wait()
        finally:
            self._board.viewers -= 1
            self._watched -= 1

    def _events(self, change: int) -> tuple[str, int]:
        records = self._feed.since(change)
        if not records:
            return "", change
        change = records[-1].change
        # Sort by opening, so that late viewers get the same order as all others.
        data = [record.data() for record in sorted(records, key=lambda record: record.key)]
        return _message("events", data, self._feed.mark(change)), change

    async def captions(self, mark: str | None) -> AsyncIterator[str]:
        """Yield a message each time that an event opens, is reworded or closes.

        Parameters
        ----------
        mark
            Mark of the last event that the viewer got; the stream then starts with all records
            since. With None it starts with the next change.

        Yields
        ------
        str
            One or more server-sent events, or a comment if there is nothing new for `BEAT_S`.
        """
        change = self._feed.changes if mark is None else self._feed.after(mark)
        loop = asyncio.get_running_loop()
        last_sent_s = loop.time()
        self._board.viewers += 1
        try:
            yield f"retry: {RETRY_MS}\n\n"
            while not self.closing:
                text = ""
                for record in self._feed.since(change):
                    change = record.change
                    text += _message(None, record.data(), self._feed.mark(change))
                if not text and loop.time() - last_sent_s > BEAT_S:
                    text = ": nothing new\n\n"
                if text:
                    yield text
                    last_sent_s = loop.time()
                await self._tick_done.wait()
        finally:
            self._board.viewers -= 1


def _message(event: str | None, data: Any, mark: str | None = None) -> str:
    """Return one server-sent event. Its data is one line, because compact JSON has no newlines."""
    head = f"event: {event}\n" if event else ""
    if mark:
        head += f"id: {mark}\n"
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n"
