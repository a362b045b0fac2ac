"""Run ffmpeg as a child process that writes AU into a pipe."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

from edge.audio.ffmpeg_input import Input
from edge.audio.readable import wait_readable
from edge.errors import AudioError

# Seconds that ffmpeg gets to end before it is killed. It needs the kill if its stream stalls.
END_S = 0.5
AU_HEADER = ">4s5I"  # Magic, offset of the samples, their size, encoding, rate, channels.
NO_AUDIO = ("matches no streams", "does not contain any stream")
# Parts of messages with advice on ffmpeg's own options, which the user did not type.
ADVICE = ("Did you mean", "To ignore this")
FEED_BYTES = 65_536  # Bytes that are read from a feed and written to ffmpeg at once.


@dataclass(frozen=True)
class Feed:
    """A pipe that is copied to ffmpeg, because its first bytes have already been read."""

    pipe: BinaryIO
    first: bytes  # The bytes already read.
    ended: Callable[[], bool]  # Returns True to stop the copy.


class Decoder:
    """A running ffmpeg for one input, and its error messages."""

    def __init__(self, name: str, given: Input, feed: Feed | None = None) -> None:
        """Start ffmpeg.

        Parameters
        ----------
        name
            Name of the input in messages.
        given
            Arguments and standard input of ffmpeg.
        feed
            A pipe whose bytes are copied to the standard input of ffmpeg.

        Raises
        ------
        AudioError
            ffmpeg is not installed.
        """
        self.has_length = False  # True if ffmpeg reports a duration: the input is a recording.
        self.timed_out = False  # True if ffmpeg was killed because it gave no audio in time.
        self._traced = given.traced
        program = shutil.which("ffmpeg")
        if program is None:
            raise AudioError(f"{name}: needs ffmpeg; type: sudo apt-get install ffmpeg")
        level = "level+trace" if given.traced else "level+info"
        quiet = ["-hide_banner", "-nostats", "-loglevel", level]
        if not given.script and feed is None:
            quiet.append("-nostdin")
        wanted = ["-map", "0:a:0", "-c:a", "pcm_s16be", "-f", "au", "-flush_packets", "1", "-"]
        # If this process is killed, it cannot end ffmpeg. With setpriv the kernel kills ffmpeg as
        # soon as the thread that started it has ended. Otherwise ffmpeg would end only at its next
        # write, which never comes if the stream stalls.
        setpriv = shutil.which("setpriv") if feed is None else None
        bound = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        self._child = subprocess.Popen(
            [*bound, program, *quiet, *given.arguments, *wanted],
            stdin=subprocess.PIPE if given.script or feed is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pipe = cast(BinaryIO, self._child.stdout)
        self._errors: deque[str] = deque(maxlen=20)
        self._ended = threading.Event()
        self._stderr_reader = threading.Thread(
            target=self._read_stderr, daemon=True, name="ffmpeg's stderr"
        )
        self._stderr_reader.start()
        self._feeder: threading.Thread | None = None
        if given.script:
            with suppress(OSError):  # ffmpeg has already ended and reports why.
                cast(BinaryIO, self._child.stdin).write(given.script)
                cast(BinaryIO, self._child.stdin).close()
        elif feed is not None:
            self._feeder = threading.Thread(target=self._copy_feed, args=(feed,), daemon=True)
            self._feeder.start()

    def _copy_feed(self, feed: Feed) -> None:
        into = cast(BinaryIO, self._child.stdin)
        data = feed.first
        with suppress(OSError, ValueError):  # ffmpeg has ended, or the pipe was closed.
            while data:
                into.write(data)
                into.flush()
                while not self._ended.is_set() and not feed.ended():
                    if wait_readable(feed.pipe.fileno(), 0.1):
                        data = os.read(feed.pipe.fileno(), FEED_BYTES)
                        break
                else:
                    break
        with suppress(OSError):
            into.close()

    def _read_stderr(self) -> None:
        """Read the standard error of ffmpeg, so that it never blocks, and record what matters."""
        # ffmpeg prints N/A, NOPTS or 0 as the duration of a live stream.
        length = r"Duration: (?!00:00:00\.00)\d"
        if self._traced:
            length = r"\[trace\] format: start_time: \S+ duration: (?!0(\.0*)? )\d"
        for line in cast(BinaryIO, self._child.stderr):
            text = line.decode(errors="replace").strip()
            if re.search(length, text):
                self.has_length = True
            error = re.search(r"\[(?:error|fatal|panic)\] (.+)", text)
            if error and not error[1].startswith(ADVICE):
                self._errors.append(error[1])

    def header(self, seconds: float | None) -> tuple[int, int] | None:
        """Wait for the AU header and return sample rate (Hz) and number of channels.

        Return None if ffmpeg ends before the header is complete. If the header takes longer than
        `seconds`, ffmpeg is killed and `timed_out` is set. None waits without a limit.
        """
        timer = None if seconds is None else threading.Timer(seconds, self._time_out)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            head = self._read(struct.calcsize(AU_HEADER))
            if head is None:
                return None
            fields = struct.unpack(AU_HEADER, head)
            if self._read(fields[1] - len(head)) is None:
                return None
            return fields[4], fields[5]
        finally:
            if timer is not None:
                timer.cancel()

    def _time_out(self) -> None:
        self.timed_out = True
        self._child.kill()

    def _read(self, count: int) -> bytes | None:
        got = b""
        while len(got) < count:
            more = os.read(self.pipe.fileno(), count - len(got))
            if not more:
                self.wait()
                return None
            got += more
        return got

    def wait(self) -> int:
        """Wait for ffmpeg to end, after its output has ended, and return its exit status."""
        try:
            status = self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        self._stderr_reader.join(END_S)
        return status

    def has_error(self, *signs: str) -> bool:
        """Return True if one of the texts `signs` occurs in the messages of ffmpeg."""
        return any(sign in line for line in self._errors for sign in signs)

    def failure_reason(self) -> str:
        """Return why ffmpeg ended, as its last message if it has one; it may hold secrets."""
        if self.has_error(*NO_AUDIO):
            return "it holds no audio"
        if not self._errors:
            return f"ffmpeg ended with status {self._child.returncode}"
        return self._errors[-1]

    def end(self) -> None:
        """End the process, which must never outlive its source. May be called repeatedly."""
        self._ended.set()
        self._child.terminate()
        self.wait()
        if self._feeder is not None:
            self._feeder.join(END_S)
        cast(BinaryIO, self._child.stderr).close()
        self.pipe.close()
