"""Read audio with ffmpeg that libsndfile cannot read: network streams, videos, pipes."""

from __future__ import annotations

import threading
import time

from edge.audio.ffmpeg_input import Input, file_input, redacted, rtsp_options, url_input
from edge.audio.ffmpeg_process import NO_AUDIO, Decoder, Feed
from edge.audio.file import check_channel, check_form
from edge.audio.pcm import PACE, PcmSource
from edge.device_setting import printable
from edge.errors import AudioError, StreamDownError, UnavailableError
from edge.urls import is_url

# Seconds until the first audio must arrive. A camera may take some seconds to answer; a longer wait
# would trigger the watchdog.
START_S = 10.0
# A stream without audio for this many seconds is dead. HTTP live streams arrive in pieces of up to
# 10 s.
STALLED_S = 30.0
CUT_SHORT = ("prematurely", "partial file", "runcat")  # Parts of messages about incomplete files.
# Parts of messages after which another transport would not help.
FINAL = ("refused", "401", "403", "404", "resolve", "route", "unreachable", "Unauthorized")


class FfmpegSource(PcmSource):
    """The first audio stream of a URL, a file or a pipe, at its own sample rate.

    A URL without a known length is live. If it ends or stalls, it may come back later. An input
    with a length is a recording, which ends. It is read in real time unless `fast` is True.
    """

    dtype = (
        ">i2"  # ffmpeg writes AU, whose header is only six integers; its samples are big-endian.
    )

    def __init__(
        self, what: str, fast: bool, channel: int | None, feed: Feed | None = None
    ) -> None:
        """Start ffmpeg.

        Parameters
        ----------
        what
            URL or path of the input; with `feed`, only its name in messages.
        fast
            True to read as fast as possible, False to read in real time.
        channel
            The channel to read, counted from 1; None for all.
        feed
            A pipe to read instead of `what`.

        Raises
        ------
        AudioError
            ffmpeg is missing or cannot read the input. If a URL gives no audio now but may do so
            later, it is the subclass StreamDownError.
        """
        self._url = feed is None and is_url(what)
        self._what = what
        self.name = printable(what)
        # A file has no clock of its own that could drift from the clock of this machine.
        self.pace = PACE if self._url or feed is not None else 1.0
        self._closing = threading.Lock()
        if self._url:
            self._decoder, rate, channels = self._open_url()
        else:
            given = Input(["-i", "pipe:0"]) if feed is not None else file_input(what)
            self._decoder = Decoder(self.name, given, feed)
            rate, channels = self._started(self._decoder, None if feed is not None else START_S)
        try:
            check_form(self.name, rate, channels)
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
        """Return sample rate (Hz) and channel count of the decoder's output.

        Parameters
        ----------
        decoder
            The running ffmpeg. It is ended if it gives no audio.
        seconds
            Longest wait for the header; None to wait without a limit.

        Raises
        ------
        AudioError
            ffmpeg gives no audio. If a URL may give audio later, it is a StreamDownError.
        """
        try:
            header = decoder.header(seconds)
            if header is not None:
                return header
            why = f"gave no audio for {START_S:.0f} s"
            if not decoder.timed_out:
                why = f"cannot be read as audio ({self._failure(decoder)})"
            # A server that is down may come back; other errors are permanent.
            may_recover = self._url and not decoder.has_error(*NO_AUDIO)
            raise (StreamDownError if may_recover else AudioError)(f"{self.name}: {why}")
        except BaseException:
            decoder.end()
            raise

    def _failure(self, decoder: Decoder) -> str:
        """Return the last message of ffmpeg, without secrets."""
        message = decoder.failure_reason().removeprefix("file:").removeprefix(f"{self._what}: ")
        return redacted(message, self._what) if self._url else printable(message)

    def _check_silence(self, seconds: float) -> None:
        if self._url and seconds > STALLED_S:
            raise self._gone(f"nothing for {seconds:.0f} s")

    def _check_end(self, done: int) -> None:
        status = self._decoder.wait()
        if self._url and not self._decoder.has_length:
            raise self._gone(self._failure(self._decoder) if status else "it ended")
        if status or done == 0:
            raise AudioError(f"{self.name}: {self._failure(self._decoder)}")
        if self._decoder.has_error(*CUT_SHORT):
            raise AudioError(f"{self.name}: ends after {done / self.rate:.1f} s; it is incomplete")

    def _gone(self, why: str) -> AudioError | UnavailableError:
        kind = AudioError if self._decoder.has_length else UnavailableError
        return kind(f"{self.name}: gives no audio any more ({why})")

    def close(self) -> None:
        """End ffmpeg and the thread that reads its output."""
        with self._closing:
            super().close()
            self._decoder.end()
