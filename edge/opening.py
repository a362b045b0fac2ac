"""Which source the setting `device` means."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.config import StreamConfig
from edge.devices import without_secrets
from edge.errors import UnavailableError, UnknownFormatError
from edge.ffmpeg import FfmpegSource, is_url
from edge.inputs import find_again, find_input, look_again, open_streams, opening
from edge.microphone import MicrophoneSource
from edge.patient import MissingSource, PatientSource
from edge.pcm import standard_input
from edge.sources import AUDIO_SUFFIXES, FileSource, Source

ASSUMED_RATE = 16_000  # Hz; counts the time in which a source that was never open is away.


def open_source(device: str, config: StreamConfig) -> Source:
    """The source that `device` means, opened as `config` says.

    Raises: AudioError or DeviceError if there is none, and waiting would not help;
    UnavailableError, of the latter, if a stream is down now.
    """
    fast, channel = config.fast, config.channel
    if device == "-":
        return standard_input(config.rate, config.channels, fast, channel)
    if is_url(device):
        first = FfmpegSource(device, fast, channel)
        return PatientSource(first, lambda: FfmpegSource(device, fast, channel))
    if _is_file(device):
        return _open_file(Path(device).expanduser(), fast, channel)
    return _open_microphone(device, channel)


def waiting_source(device: str, config: StreamConfig, reason: Exception) -> Source:
    """Return a source that waits until `device`, absent for `reason`, can be opened."""
    missing = MissingSource(without_secrets(device), ASSUMED_RATE, UnavailableError(str(reason)))

    def again() -> Source:
        if _is_microphone(device):
            with opening:
                if not open_streams:
                    look_again()  # It may have been plugged in since.
        return open_source(device, config)

    return PatientSource(missing, again)


def excludes(one: str, other: str) -> bool:
    """Return True if device `other` may fail to open while device `one` is open.

    A sound card may let in one stream only, and so may a camera. A pipe gives its audio once.
    """
    if _is_microphone(one) and _is_microphone(other):
        return True
    path = Path(one).expanduser()
    is_pipe = path.exists() and not path.is_file()
    return one == other and (one == "-" or is_url(one) or is_pipe)


def _is_microphone(device: str) -> bool:
    return device != "-" and not is_url(device) and not _is_file(device)


def _is_file(device: str) -> bool:
    path = Path(device).expanduser()
    return path.exists() or path.suffix.lower() in AUDIO_SUFFIXES or os.sep in device


def _open_file(path: Path, fast: bool, channel: int | None) -> Source:
    try:
        return FileSource(path, fast, channel=channel)
    except UnknownFormatError:
        # Of a file that is called .wav, and is none, ffmpeg would not help the user who lacks it.
        if path.suffix.lower() in AUDIO_SUFFIXES and shutil.which("ffmpeg") is None:
            raise
    return FfmpegSource(str(path), fast, channel)


def _open_microphone(wanted: str, channel: int | None) -> Source:
    with opening:
        device = find_input(wanted)
        first: Source
        try:
            first = MicrophoneSource(device, channel)
        except UnavailableError as reason:
            first = MissingSource(device.name, device.rate, reason)

    def again() -> Source:
        with opening:
            return MicrophoneSource(find_again(wanted, device), channel)

    return PatientSource(first, again)
