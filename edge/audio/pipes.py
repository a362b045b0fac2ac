"""Read audio from pipes, whose first bytes show the format and can be read only once."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from edge.audio.ffmpeg import FfmpegSource
from edge.audio.ffmpeg_process import Feed
from edge.audio.file import check_channel
from edge.audio.magic import MAGIC_BYTES, TEXT_BYTES, container_of, is_text
from edge.audio.pcm import PcmSource
from edge.audio.readable import wait_readable
from edge.audio.ring_buffer import NOTHING, Block
from edge.audio.wav_pipe import WavHeader, WavPipe, wav_header
from edge.device_setting import printable
from edge.errors import AudioError

log = logging.getLogger(__name__)

# First bytes of formats that are recognised only by several consecutive frames.
LONG_MAGIC = (b"\xff", b"\x47")
STEP_S = 0.25  # Seconds of each wait for the first bytes, or until the source is open.


@dataclass
class Memory:
    """State of a pipe that an earlier source has begun to read."""

    kind: str = ""  # "raw PCM", the name of a container, or empty if not yet known.
    header: WavHeader | None = None  # The header of a WAV with plain PCM.
    rest: bytes = b""  # Bytes that the earlier source read and did not use.


# A reload may open standard input again, in the middle of its audio.
_standard_input = Memory()


class PipeSource:
    """Audio from a pipe: a container if the first bytes show one, or else raw 16-bit PCM."""

    def __init__(
        self,
        name: str,
        pipe: BinaryIO,
        rate: int,
        channels: int,
        fast: bool,
        channel: int | None,
        owned: bool = False,
        memory: Memory | None = None,
    ) -> None:
        """Prepare to read `pipe`; `blocks` reads and recognises its first bytes.

        Parameters
        ----------
        name
            Name of the pipe in messages.
        pipe
            The pipe.
        rate
            Sample rate of raw PCM in Hz.
        channels
            Number of channels of raw PCM.
        fast
            True to read as fast as possible, False to read in real time.
        channel
            The channel to return, counted from 1; None for all.
        owned
            True to close the pipe when this source is closed.
        memory
            State of the pipe from an earlier source; it is updated.
        """
        self.name, self.rate, self.lossless = name, rate, fast
        self._pipe, self._channels, self._channel, self._owned = pipe, channels, channel, owned
        self._memory = memory or Memory()
        self._closed = False
        self._lock = threading.Lock()  # Held to set or close the inner source.
        self._inner: PcmSource | None = None
        self._error: Exception | None = None  # The reason why there is no inner source.

    def blocks(self) -> Iterator[Block]:
        """Recognise the content of the pipe and yield its audio.

        Raises
        ------
        AudioError
            The pipe cannot be read, or holds no audio.
        """
        head, ended = self._memory.rest, False
        while not ended and not self._memory.kind and not _is_enough(head):
            more, ended = self._peek()
            head += more
            if self._closed:
                return
            if not more:
                yield NOTHING
        opener = threading.Thread(target=self._open, args=(head,), daemon=True, name="pipe")
        opener.start()  # A thread opens the source, as ffmpeg may wait for more of a slow pipe.
        while opener.is_alive():
            yield NOTHING
            opener.join(STEP_S)
        with self._lock:
            inner, closed = self._inner, self._closed
        if closed:
            return
        if inner is None:
            raise self._error or AudioError(f"{self.name}: held no audio")
        self.rate = inner.rate
        yield from inner.blocks()

    def _peek(self) -> tuple[bytes, bool]:
        """Wait up to STEP_S for bytes; return them, and True if the pipe has ended.

        Raises
        ------
        AudioError
            The pipe cannot be read.
        """
        if not wait_readable(self._pipe.fileno(), STEP_S):
            return b"", False
        try:
            data = os.read(self._pipe.fileno(), MAGIC_BYTES)
        except OSError as error:
            raise AudioError(f"{self.name}: cannot be read ({error.strerror})") from None
        return data, not data

    def _open(self, head: bytes) -> None:
        """Open the inner source of a pipe whose first bytes are `head`."""
        try:
            inner = self._recognise(head)
        except Exception as error:  # The thread that reads the blocks raises it.
            self._error = error
            return
        with self._lock:
            self._inner = inner
            if not self._closed:
                return
        inner.close()

    def _recognise(self, head: bytes) -> PcmSource:
        """Return the source that decodes a pipe whose first bytes are `head`.

        Raises
        ------
        AudioError
            The pipe holds text, needs ffmpeg, or cannot be continued from its middle.
        """
        memory = self._memory
        if memory.header is not None:
            header = replace(memory.header, audio=0, length=0)
            return WavPipe(self.name, self._pipe, header, self.lossless, self._channel, head)
        kind = memory.kind or container_of(head) or "raw PCM"
        if kind == "raw PCM":
            if not memory.kind and is_text(head):
                raise AudioError(f"{self.name}: holds text, not audio")
            memory.kind = kind
            return PcmSource(
                self._pipe, self.rate, self._channels, self.lossless, self._channel, head, self.name
            )
        if memory.kind:
            raise AudioError(
                f"{self.name}: holds {kind}, which cannot be read on from its middle; "
                "start aac-stream again"
            )
        if kind == "WAV":
            try:
                return self._wav(head)
            except ValueError:
                pass  # ffmpeg reads compressed and rare kinds of WAV.
        if shutil.which("ffmpeg") is None:
            raise AudioError(
                f"{self.name}: holds {kind}, which needs ffmpeg to be read from a pipe; "
                "type: sudo apt-get install ffmpeg, or save it as a file"
            )
        feed = Feed(self._pipe, head, lambda: self._closed)
        source = FfmpegSource(self.name, self.lossless, self._channel, feed)
        memory.kind = kind
        log.info("%s: holds %s, at %d Hz", self.name, kind, source.rate)
        return source

    def _wav(self, head: bytes) -> PcmSource:
        """Return the source of a WAV that begins with `head`.

        Raises
        ------
        ValueError
            The WAV does not hold plain PCM.
        AudioError
            The WAV has no such channel.
        """
        ended = False
        while (header := wav_header(head, ended)) is None and not self._closed:
            more, ended = self._peek()
            head += more
        if header is None:
            raise ValueError
        check_channel(self.name, header.channels, self._channel)
        log.info("%s: holds WAV, at %d Hz", self.name, header.rate)
        self._memory.header = header
        return WavPipe(self.name, self._pipe, header, self.lossless, self._channel, head)

    def close(self) -> None:
        """End this source, so that another one can continue to read the pipe."""
        with self._lock:
            self._closed = True
            inner = self._inner
        if inner is not None:
            inner.close()
            self._memory.rest = inner.rest
        if self._owned:
            self._pipe.close()


def _is_enough(head: bytes) -> bool:
    """Return True if the first bytes `head` suffice to recognise the content of a pipe."""
    if container_of(head) is not None:
        return True
    return len(head) >= (MAGIC_BYTES if head[:1] in LONG_MAGIC else TEXT_BYTES)


def standard_input(rate: int, channels: int, fast: bool, channel: int | None = None) -> PipeSource:
    """Return standard input as a source.

    Parameters
    ----------
    rate
        Sample rate of raw PCM in Hz.
    channels
        Number of channels of raw PCM.
    fast
        True to read as fast as possible, False to read in real time.
    channel
        The channel to return, counted from 1; None for all.

    Raises
    ------
    AudioError
        Standard input is a terminal, or closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise AudioError("standard input: is closed; pipe audio into it, or use another --device")
    if sys.stdin.isatty():
        raise AudioError(
            "standard input: is a terminal; pipe raw 16-bit PCM into it, for example "
            "arecord -t raw -f S16_LE -r 16000 | aac-stream --device -"
        )
    return PipeSource(
        "standard input", sys.stdin.buffer, rate, channels, fast, channel, memory=_standard_input
    )


def named_pipe(
    path: Path, rate: int, channels: int, fast: bool, channel: int | None = None
) -> PipeSource:
    """Return the FIFO at `path` as a source, which may wait for its first writer.

    The other parameters are those of `standard_input`.

    Raises
    ------
    AudioError
        The FIFO cannot be opened.
    """
    name = printable(str(path))
    try:
        # Without O_NONBLOCK, open() would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
        pipe = open(descriptor, "rb", buffering=0)
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror})") from None
    return PipeSource(name, pipe, rate, channels, fast, channel, owned=True)


def is_pipe(path: Path) -> bool:
    """Return True if `path` is a FIFO; /dev/stdin and <(a command) may be one.

    Raises
    ------
    OSError
        There is no file at `path`, or it cannot be examined.
    ValueError
        No file can have this name.
    """
    return stat.S_ISFIFO(os.stat(path).st_mode)
