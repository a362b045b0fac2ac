"""What ffmpeg reads and libsndfile does not: network streams, videos, and audio in pipes."""

from __future__ import annotations

import threading
import time

from edge.audio.ffmpeg_input import Input, file_input, redacted, rtsp_options, url_input
from edge.audio.ffmpeg_process import NO_AUDIO, Decoder, Feed
from edge.audio.file import check_channel
from edge.audio.pcm import PACE, PcmSource
from edge.device_setting import printable
from edge.errors import AudioError, StreamDownError, UnavailableError
from edge.urls import is_url

START_S = 10.0  # a camera may take some seconds to answer; longer, and a watchdog would bite
STALLED_S = 30.0  # so long without audio: dead. HTTP live streams come in pieces of up to 10 s
CUT_SHORT = ("prematurely", "partial file", "runcat")  # in messages about an incomplete file
# Messages after which another transport would not help.
FINAL = ("refused", "401", "403", "404", "resolve", "route", "unreachable", "Unauthorized")


class FfmpegSource(PcmSource):
    """The first audio stream of `what`, a URL, the path of a file or a pipe, at its own rate.

    A URL without a known length is live: when it ends or stalls, waiting may bring it back. What
    has a length is a recording, on its clock unless `fast`, and ends.
    """

    dtype = ">i2"  # of AU, the one format whose header is six numbers

    def __init__(
        self, what: str, fast: bool, channel: int | None, feed: Feed | None = None
    ) -> None:
        """Start ffmpeg on `what`; with `feed`, on that pipe, and `what` is only its name.

        Raises: AudioError if ffmpeg is missing or cannot read it; StreamDownError, of those, if it
        is a URL that gives nothing now.
        """
        self._url = feed is None and is_url(what)
        self._what = what
        self.name = printable(what)
        # A file has no clock that could drift from ours.
        self.pace = PACE if self._url or feed is not None else 1.0
        self._closing = threading.Lock()
        if self._url:
            self._decoder, rate, channels = self._open_url()
        else:
            given = Input(["-i", "pipe:0"]) if feed is not None else file_input(what)
            self._decoder = Decoder(self.name, given, feed)
            rate, channels = self._started(self._decoder, None if feed is not None else START_S)
        try:
            check_channel(self.name, channels, channel)
        except AudioError:
            self._decoder.end()
            raise
        super().__init__(self._decoder.pipe, rate, channels, fast, channel)

    def _open_url(self) -> tuple[Decoder, int, int]:
        until = time.monotonic() + START_S
        first: AudioError | None = None
        for options in rtsp_options(self._what):
            left = until - time.monotonic()
            if first is not None and left < 1.0:
                break
            decoder = Decoder(self.name, url_input(self._what, options))
            try:
                return decoder, *self._started(decoder, left)
            except AudioError as error:
                first = first or error
                if any(sign in str(error) for sign in FINAL):
                    break
        assert first is not None
        raise first

    def _started(self, decoder: Decoder, seconds: float | None) -> tuple[int, int]:
        """Return rate and channels of what `decoder` gives, which is ended if it gives nothing."""
        try:
            header = decoder.header(seconds)
            if header is not None:
                return header
            why = f"gave no audio for {START_S:.0f} s"
            if not decoder.late:
                why = f"cannot be read as audio ({self._words(decoder)})"
            # A server that is down may come up; other errors stay.
            may_come = self._url and not decoder.complained_of(*NO_AUDIO)
            raise (StreamDownError if may_come else AudioError)(f"{self.name}: {why}")
        except BaseException:
            decoder.end()
            raise

    def _words(self, decoder: Decoder) -> str:
        said = decoder.last_words().removeprefix("file:").removeprefix(f"{self._what}: ")
        return redacted(said, self._what) if self._url else printable(said)

    def _check_silence(self, seconds: float) -> None:
        if self._url and seconds > STALLED_S:
            raise self._gone(f"nothing for {seconds:.0f} s")

    def _check_end(self, done: int) -> None:
        status = self._decoder.wait()
        if self._url and not self._decoder.has_length:
            raise self._gone(self._words(self._decoder) if status else "it ended")
        if status or done == 0:
            raise AudioError(f"{self.name}: {self._words(self._decoder)}")
        if self._decoder.complained_of(*CUT_SHORT):
            raise AudioError(f"{self.name}: ends after {done / self.rate:.1f} s; it is incomplete")

    def _gone(self, why: str) -> AudioError | UnavailableError:
        kind = AudioError if self._decoder.has_length else UnavailableError
        return kind(f"{self.name}: gives no audio any more ({why})")

    def close(self) -> None:
        with self._closing:
            super().close()
            self._decoder.end()
