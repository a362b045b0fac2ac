"""Record from microphones with PortAudio."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from edge.audio.devices import InputDevice, open_streams, portaudio, portaudio_reason
from edge.audio.file import RING_S, check_channel, pick
from edge.audio.ring_buffer import NOTHING, Block, RingBuffer
from edge.errors import UnavailableError
from edge.inference.features import Floats
from edge.process.stderr import quiet_stderr

BLOCK_S = 0.1  # Seconds from one read of the ring buffer to the next.
DEAD_S = 5.0  # A device that gives no audio for this many seconds is treated as dead.


class MicrophoneSource:
    """A microphone at its own sample rate.

    PortAudio's callback only copies the audio into a ring buffer and counts overflows.
    """

    lossless = False

    def __init__(self, device: InputDevice, channel: int | None = None) -> None:
        """Open `device` and start to record.

        Parameters
        ----------
        device
            The device to record from.
        channel
            The channel to record, counted from 1; None for the first two (one for a mono device).

        Raises
        ------
        AudioError
            The device has no such channel.
        DeviceError
            PortAudio is not installed, or finds no sound system. If the device cannot be opened
            now, it is the subclass UnavailableError.
        """
        check_channel(f"device {device.index} ({device.name})", device.channels, channel)
        self.name, self.rate = device.name, device.rate
        self.overflows = 0  # Number of times that PortAudio reported lost audio.
        # ALSA plug-in devices claim 32 or more channels. A stream opened with one channel would
        # carry the mix of all.
        channels = min(max(2, channel or 0), device.channels)
        self._channel = channel
        self._ring = RingBuffer(int(RING_S * self.rate), channels if channel is None else 1)
        sd = portaudio()
        stream = None
        try:
            with quiet_stderr():
                stream = sd.InputStream(
                    device=device.index,
                    samplerate=self.rate,
                    channels=channels,
                    dtype="float32",
                    # Captions need no low latency, and high latency overflows less.
                    latency="high",
                    callback=self._callback,
                )
                stream.start()
        except sd.PortAudioError as error:
            if stream is not None:
                stream.close()
            why = portaudio_reason(error)
            raise UnavailableError(
                f"device {device.index} ({device.name}): cannot be opened ({why}); "
                "close the programs that use it, or choose another"
            ) from None
        self._stream = stream
        self._closing, self._closed = threading.Lock(), False
        open_streams.add(stream)

    def _callback(self, samples: Floats, _frames: int, _clock: Any, status: Any) -> None:
        if status.input_overflow:
            self.overflows += 1
        self._ring.write(pick(samples, self._channel))

    def blocks(self) -> Iterator[Block]:
        """Yield the recorded audio until the source is closed.

        Raises
        ------
        UnavailableError
            The stream has ended, or gives no audio for DEAD_S seconds.
        """
        last_audio_s = time.monotonic()
        while not self._closed:
            if self._ring.wait(0.5):
                last_audio_s = time.monotonic()
                yield self._ring.read()
                time.sleep(BLOCK_S)
            elif self._closed:
                return
            elif not self._stream.active or time.monotonic() - last_audio_s > DEAD_S:
                raise UnavailableError(f"device {self.name!r}: gives no audio any more")
            else:
                yield NOTHING

    def close(self) -> None:
        """Close the device. May be called repeatedly and from any thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            with quiet_stderr():
                self._stream.abort()
                self._stream.close()
            open_streams.discard(self._stream)
