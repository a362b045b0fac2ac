"""Which source the setting `device` means."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.audio.devices import find_again, find_input, look_again, open_streams, opening
from edge.audio.ffmpeg import FfmpegSource
from edge.audio.file import AUDIO_SUFFIXES, FileSource, Source
from edge.audio.microphone import MicrophoneSource
from edge.audio.pipes import is_pipe, named_pipe, standard_input
from edge.audio.reconnecting import MissingSource, ReconnectingSource
from edge.config import StreamConfig
from edge.device_setting import printable
from edge.errors import AudioError, UnavailableError, UnknownFormatError
from edge.urls import is_url

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
        return ReconnectingSource(first, lambda: FfmpegSource(device, fast, channel))
    if _is_file(device):
        return open_recording(_path(device), config)
    return _open_microphone(device, channel)


def waiting_source(device: str, config: StreamConfig, reason: Exception) -> Source:
    """Return a source that waits until `device`, absent for `reason`, can be opened."""
    missing = MissingSource(printable(device), ASSUMED_RATE, UnavailableError(str(reason)))

    def again() -> Source:
        if _is_microphone(device):
            with opening:
                if not open_streams:
                    look_again()  # It may have been plugged in since.
        return open_source(device, config)

    return ReconnectingSource(missing, again)


def excludes(one: str, other: str) -> bool:
    """Return True if device `other` may fail to open while device `one` is open.

    A sound card may let in one stream only, and so may a camera. A pipe gives its audio once.
    """
    if _is_microphone(one) and _is_microphone(other):
        return True
    return one == other and (one == "-" or is_url(one) or _holds_pipe(one))


def _holds_pipe(device: str) -> bool:
    try:
        return is_pipe(_path(device))
    except (AudioError, OSError, ValueError):
        return False


def _is_microphone(device: str) -> bool:
    return device != "-" and not is_url(device) and not _is_file(device)


def _is_file(device: str) -> bool:
    """Return True if `device` is the path of a file, whether it is there or not."""
    suffix = os.path.splitext(device)[1].lower()
    if suffix in AUDIO_SUFFIXES or os.sep in device or "\0" in device:
        return True
    return os.path.exists(os.path.expanduser(device))


def _path(device: str) -> Path:
    """Return the path that `device` may be, with "~" as the user's home.

    Raises: AudioError if it names the home of a user who does not exist.
    """
    try:
        return Path(device).expanduser()
    except RuntimeError:
        raise AudioError(f"{printable(device)}: there is no such user") from None


def open_recording(path: Path, config: StreamConfig) -> Source:
    """Open what lies at `path`: a file, which ffmpeg reads if libsndfile does not, or a pipe.

    Raises: AudioError if it holds no audio, or may not be read.
    """
    fast, channel = config.fast, config.channel
    try:
        piped = is_pipe(path)
    except (OSError, ValueError):
        piped = False  # what is wrong is said where it is opened
    if piped:
        return named_pipe(path, config.rate, config.channels, fast, channel)
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

    return ReconnectingSource(first, again)
