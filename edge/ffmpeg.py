"""What ffmpeg reads and libsndfile does not: network streams, and videos."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from typing import BinaryIO, cast

from edge.devices import without_secrets
from edge.errors import AudioError, StreamDownError, UnavailableError
from edge.pcm import PACE, PcmSource
from edge.readable import wait_readable
from edge.sources import check_channel

START_S = 10.0  # a camera may take some seconds to answer; longer, and a watchdog would bite
STALLED_S = 30.0  # so long without audio: dead. HTTP live streams come in pieces of up to 10 s
END_S = 0.5  # that ffmpeg gets to end before it is killed; one whose stream stalls needs that
AU_HEADER = ">4s5I"  # magic, where samples begin, their size, encoding, rate, channels
NO_AUDIO = ("matches no streams", "does not contain any stream")
ADVICE = ("Did you mean", "To ignore this")  # on its own options, which nobody here has typed
CUT_SHORT = "prematurely"  # it says so of a broken copy or connection, and ends as if all were well


def is_url(device: str) -> bool:
    """Whether `device` is a stream for ffmpeg: `rtsp://...`, `http://...`."""
    return re.match(r"[a-z][a-z0-9+.-]*://", device, re.IGNORECASE) is not None


class FfmpegSource(PcmSource):
    """The first audio stream of `what`, a URL or the path of a file, at its own rate.

    A URL without a known length is live: when it ends or stalls, waiting may bring it back. What
    has a length is a recording, on its clock unless `fast`, and ends.

    Raises: AudioError if ffmpeg is missing or cannot read it; StreamDownError, of those, if it is a
    URL that gives nothing now.
    """

    dtype = ">i2"  # of AU, the one format whose header is six numbers

    def __init__(self, what: str, fast: bool, channel: int | None) -> None:
        self.name = without_secrets(what)
        self._url = is_url(what)
        self.pace = PACE if self._url else 1.0  # a file has no clock that could drift from ours
        self._decoder = _Decoder(what)
        try:
            rate, channels = self._decoder.header()
            check_channel(self.name, channels, channel)
        except BaseException:
            self._decoder.end()
            self._decoder.pipe.close()
            raise
        super().__init__(self._decoder.pipe, rate, channels, fast, channel)

    def _check_silence(self, seconds: float) -> None:
        if self._url and seconds > STALLED_S:
            raise self._gone(f"nothing for {seconds:.0f} s")

    def _check_end(self, done: int) -> None:
        status = self._decoder.wait()
        if self._url and not self._decoder.has_length:
            raise self._gone(self._decoder.last_words() if status else "it ended")
        if status or done == 0:
            raise AudioError(f"{self.name}: {self._decoder.last_words()}")
        if self._decoder.complained_of(CUT_SHORT):
            raise AudioError(f"{self.name}: ends after {done / self.rate:.1f} s; it is incomplete")

    def _gone(self, why: str) -> AudioError | UnavailableError:
        kind = AudioError if self._decoder.has_length else UnavailableError
        return kind(f"{self.name}: gives no audio any more ({why})")

    def close(self) -> None:
        super().close()
        self._decoder.end()
        self._decoder.pipe.close()


class _Decoder:
    """ffmpeg as a child process that writes AU into a pipe, and what it complains of."""

    def __init__(self, what: str) -> None:
        self._what, self.has_length = what, False
        program = shutil.which("ffmpeg")
        if program is None:
            raise AudioError(
                f"{without_secrets(what)}: needs ffmpeg; type: sudo apt-get install ffmpeg"
            )
        quiet = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
        source = ["-i", what]
        if not is_url(what):
            # A file may be a playlist of URLs: what is no URL must not reach the network. And
            # without "file:", `a:b.mp4` would be of a protocol `a`.
            source = ["-protocol_whitelist", "file", "-i", f"file:{what}"]
        wanted = ["-map", "0:a:0", "-c:a", "pcm_s16be", "-f", "au", "-flush_packets", "1", "-"]
        # Where we are killed and cannot end it, the kernel does, once the thread that started it is
        # no more. It would end at its next write, but a stream that stalls has none.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        self._child = subprocess.Popen(
            [*bound, program, *quiet, *source, *wanted],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pipe = cast(BinaryIO, self._child.stdout)
        self._complaints: deque[str] = deque(maxlen=20)
        self._listener = threading.Thread(target=self._listen, daemon=True, name="ffmpeg's stderr")
        self._listener.start()

    def _listen(self) -> None:
        """Keep its standard error empty, and of that what matters."""
        for line in cast(BinaryIO, self._child.stderr):
            text = line.decode(errors="replace").strip()
            if re.search(r"Duration: (?!00:00:00\.00)\d", text):  # of a live stream N/A or 0
                self.has_length = True
            said = re.search(r"\[(?:error|fatal|panic)\] (.+)", text)
            if said and not said[1].startswith(ADVICE):
                self._complaints.append(said[1])

    def header(self) -> tuple[int, int]:
        """Rate and channels."""
        until = time.monotonic() + START_S
        fields = struct.unpack(AU_HEADER, self._read(struct.calcsize(AU_HEADER), until))
        self._read(fields[1] - struct.calcsize(AU_HEADER), until)
        return fields[4], fields[5]

    def _read(self, count: int, until: float) -> bytes:
        got = b""
        while len(got) < count:
            if not wait_readable(self.pipe.fileno(), max(0.0, until - time.monotonic())):
                raise self._no_header(f"gave no audio for {START_S:.0f} s")
            more = os.read(self.pipe.fileno(), count - len(got))
            if not more:
                self.wait()
                raise self._no_header(f"cannot be read as audio ({self.last_words()})")
            got += more
        return got

    def _no_header(self, why: str) -> AudioError:
        """A server that is down may come up; other errors stay."""
        may_come = is_url(self._what) and not self.complained_of(*NO_AUDIO)
        kind = StreamDownError if may_come else AudioError
        return kind(f"{without_secrets(self._what)}: {why}")

    def wait(self) -> int:
        """Its exit status, once its pipe has ended."""
        try:
            status = self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        self._listener.join(END_S)
        return status

    def complained_of(self, *signs: str) -> bool:
        return any(sign in line for line in self._complaints for sign in signs)

    def last_words(self) -> str:
        """Why it ended, in its own words where it has any."""
        if self.complained_of(*NO_AUDIO):
            return "it holds no audio"
        if not self._complaints:
            return f"ffmpeg ended with status {self._child.returncode}"
        last = self._complaints[-1].removeprefix("file:").removeprefix(f"{self._what}: ")
        return without_secrets(last)

    def end(self) -> None:
        """End the process, which must never outlive its source."""
        self._child.terminate()
        self.wait()
        cast(BinaryIO, self._child.stderr).close()
