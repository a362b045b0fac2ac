"""The devices that can record, as PortAudio lists them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge.errors import DeviceError
from edge.process.stderr import quiet_stderr

# Those of this process. While there are any, PortAudio cannot list the devices anew.
open_streams: set[Any] = set()
opening = threading.RLock()  # held to list the devices and open one: several may come back at once


@dataclass(frozen=True)
class InputDevice:
    """A device that can record."""

    index: int
    name: str
    api: str
    channels: int
    rate: int
    default: bool


def portaudio() -> ModuleType:
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


def look_again() -> None:
    """Let PortAudio list the devices anew; no stream may be open.

    PortAudio lists them once, when it starts: what is plugged in later is not there for it, and
    what was unplugged still is. sounddevice has no public name for starting it again.

    Raises: DeviceError if it does not start.
    """
    sd = portaudio()
    try:
        with quiet_stderr():
            if sd._initialized:
                sd._terminate()
            sd._initialize()
    except sd.PortAudioError as error:
        raise DeviceError(f"PortAudio finds no sound system ({portaudio_reason(error)})") from None


def list_inputs() -> list[InputDevice]:
    """Every device that can record.

    Raises: DeviceError if PortAudio is not there.
    """
    sd = portaudio()
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


def find_again(wanted: str, device: InputDevice) -> InputDevice:
    """`device`, once it is back: by name, since its index may be another's then.

    Raises: DeviceError if it is not there.
    """
    if not open_streams:  # else the list stays as it is: most devices come back as they were
        look_again()
    if wanted == "mic":  # whichever is the default now
        return find_input(wanted)
    try:
        return find_input(device.name)
    except DeviceError:
        # ALSA ends a name with the card's number, and that is the next free one: "(hw:1,0)".
        bare = device.name.rsplit(" (hw:", 1)[0]
        return find_input(bare if wanted.isdecimal() else wanted)


def portaudio_reason(error: Exception) -> str:
    """PortAudio's own words, without its error numbers."""
    return str(error).split(": ", 1)[-1].split(" [")[0]
