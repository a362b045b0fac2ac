"""List and find the recording devices that PortAudio knows."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge.errors import DeviceError
from edge.process.stderr import quiet_stderr

# Open PortAudio streams of this process. While there are any, PortAudio cannot refresh its list of
# devices.
open_streams: set[Any] = set()
# This lock is held while the devices are listed and one is opened, because several threads may
# reopen their devices at the same time.
opening = threading.RLock()


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
    """Import and return the module `sounddevice`.

    Raises
    ------
    DeviceError
        The PortAudio library is not installed, or finds no sound system.
    """
    try:
        with quiet_stderr():  # PortAudio's ALSA backend writes pages of harmless messages.
            import sounddevice
    except OSError:
        raise DeviceError(
            "PortAudio is not installed; type: sudo apt-get install libportaudio2"
        ) from None
    except Exception as error:  # PortAudioError has no name here, as the import failed.
        raise DeviceError(f"PortAudio finds no sound system ({error})") from None
    module: ModuleType = sounddevice
    return module


def refresh_devices() -> None:
    """Restart PortAudio, so that it lists the devices anew. No stream may be open.

    PortAudio lists the devices once, when it starts. Devices plugged in later are missing from the
    list, and unplugged ones stay in it. sounddevice has no public function for the restart.

    Raises
    ------
    DeviceError
        PortAudio does not start.
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
    """Return every device that can record.

    Raises
    ------
    DeviceError
        PortAudio is not installed, or finds no sound system.
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
    """Return the device that `wanted` names.

    Parameters
    ----------
    wanted
        "mic" (the default device), the index of a device, or part of its name.

    Raises
    ------
    DeviceError
        No device matches, or more than one.
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
    """Find `device` after it was lost. Search by name, because its index may have changed.

    Parameters
    ----------
    wanted
        The setting that named the device.
    device
        The lost device.

    Raises
    ------
    DeviceError
        The device is not there.
    """
    # With other streams open the list cannot be refreshed. Most devices return unchanged, so that
    # the old list still finds them.
    if not open_streams:
        refresh_devices()
    if wanted == "mic":  # The default device may be another one now.
        return find_input(wanted)
    try:
        return find_input(device.name)
    except DeviceError:
        # ALSA ends a device name with the number of the card, such as "(hw:1,0)". A device that is
        # plugged in again gets the next free number.
        bare = device.name.rsplit(" (hw:", 1)[0]
        return find_input(bare if wanted.isdecimal() else wanted)


def portaudio_reason(error: Exception) -> str:
    """Return PortAudio's error message without its error numbers."""
    return str(error).split(": ", 1)[-1].split(" [")[0]
