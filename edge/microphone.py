"""Microphones through PortAudio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge.errors import DeviceError
from edge.features import Floats
from edge.ring import NOTHING, Block, RingBuffer
from edge.sources import RING_S
from edge.stderr import quiet_stderr

BLOCK_S = 0.1  # the loop looks for new audio this often
DEAD_S = 5.0  # a device that gives nothing for so long is taken for dead


@dataclass(frozen=True)
class InputDevice:
    """A device that can record."""

    index: int
    name: str
    api: str
    channels: int
    rate: int
    default: bool


def _portaudio() -> ModuleType:
    """The sounddevice module.

    Raises: DeviceError if the PortAudio library is not there or finds no sound system.
    """
    try:
        with quiet_stderr():  # PortAudio's ALSA back end writes pages of harmless lines
            import sounddevice
    except OSError:
        raise DeviceError(
            "PortAudio is not installed; type: sudo apt-get install libportaudio2"
        ) from None
    except Exception as error:  # sounddevice.PortAudioError, which we then cannot name
        raise DeviceError(f"PortAudio finds no sound system ({error})") from None
    module: ModuleType = sounddevice
    return module


def list_inputs() -> list[InputDevice]:
    """Every device that can record.

    Raises: DeviceError if PortAudio is not there.
    """
    sd = _portaudio()
    apis = sd.query_hostapis()
    default = sd.default.device[0]
    return [
        InputDevice(
            index=index,
            name=info["name"],
            api=apis[info["hostapi"]]["name"],
            channels=info["max_input_channels"],
            rate=int(info["default_samplerate"]),
            default=index == default,
        )
        for index, info in enumerate(sd.query_devices())
        if info["max_input_channels"] > 0
    ]


def find_input(wanted: str) -> InputDevice:
    """The device that `wanted` means: "mic" (the default), an index, or part of a name.

    Raises: DeviceError if there is none, or more than one.
    """
    devices = list_inputs()
    hint = "--list-devices shows what there is"
    if not devices:
        raise DeviceError(f"device {wanted!r}: there is no microphone on this machine")
    if wanted == "mic":
        chosen = [d for d in devices if d.default]
        if not chosen:
            raise DeviceError(f"device 'mic': no microphone is the default; choose one, {hint}")
        return chosen[0]
    if wanted.isdecimal():
        chosen = [d for d in devices if d.index == int(wanted)]
        if not chosen:
            raise DeviceError(f"device {wanted}: no microphone has this index; {hint}")
        return chosen[0]
    chosen = [d for d in devices if d.name.lower() == wanted.lower()] or [
        d for d in devices if wanted.lower() in d.name.lower()
    ]
    if not chosen:
        raise DeviceError(
            f"device {wanted!r}: no such file, and no microphone has this in its name; {hint}"
        )
    if len(chosen) > 1:
        names = ", ".join(f"{d.index} ({d.name})" for d in chosen)
        raise DeviceError(f"device {wanted!r}: matches {names}; give more of the name or an index")
    return chosen[0]


class MicrophoneSource:
    """A microphone at its own rate. The callback copies into a ring and counts, nothing else."""

    lossless = False

    def __init__(self, device: InputDevice) -> None:
        self.name, self.rate = device.name, device.rate
        self.overflows = 0  # times that PortAudio itself lost audio
        channels = min(2, device.channels)  # plug-in devices claim 32 or more
        self._ring = RingBuffer(int(RING_S * self.rate), channels)
        sd = _portaudio()
        try:
            with quiet_stderr():
                self._stream = sd.InputStream(
                    device=device.index,
                    samplerate=self.rate,
                    channels=channels,
                    dtype="float32",
                    latency="high",  # captions need no low latency, and it overflows less
                    callback=self._callback,
                )
                self._stream.start()
        except sd.PortAudioError as error:
            raise DeviceError(
                f"device {device.index} ({device.name}): cannot be opened ({_reason(error)}); "
                "close the programs that use it, or choose another"
            ) from None

    def _callback(self, samples: Floats, _frames: int, _clock: Any, status: Any) -> None:
        if status.input_overflow:
            self.overflows += 1
        self._ring.write(samples)

    def blocks(self) -> Iterator[Block]:
        heard = time.monotonic()
        while True:
            if self._ring.wait(0.5):
                heard = time.monotonic()
                yield self._ring.read()
                time.sleep(BLOCK_S)
            elif not self._stream.active or time.monotonic() - heard > DEAD_S:
                raise DeviceError(
                    f"device {self.name!r}: gives no audio any more; is it unplugged?"
                )
            else:
                yield NOTHING

    def close(self) -> None:
        with quiet_stderr():
            self._stream.abort()
            self._stream.close()


def _reason(error: Exception) -> str:
    """PortAudio's own words, without its error numbers."""
    return str(error).split(": ", 1)[-1].split(" [")[0]
