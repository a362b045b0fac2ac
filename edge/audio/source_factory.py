"""Open the audio source that the setting `device` names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.audio.devices import find_again, find_input, open_streams, opening, refresh_devices
from edge.audio.ffmpeg import FfmpegSource
from edge.audio.file import AUDIO_SUFFIXES, FileSource, Source
from edge.audio.microphone import MicrophoneSource
from edge.audio.pipes import is_pipe, named_pipe, standard_input
from edge.audio.reconnecting import MissingSource, ReconnectingSource
from edge.config import StreamConfig
from edge.device_setting import printable
from edge.errors import AudioError, UnavailableError, UnknownFormatError
from edge.urls import is_url

ASSUMED_RATE = 16_000  # Rate in Hz of the lost frames of a source that was never open.


def open_source(device: str, config: StreamConfig) -> Source:
    """Open the source that `device` names, with the settings of `config`.

    Raises
    ------
    AudioError
        The source holds no audio that can be read.
    DeviceError
        There is no such device. If a stream is down now and may come back, it is the subclass
        UnavailableError.
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
    """Return a source that waits until `device` can be opened; `reason` says why it cannot now."""
    missing = MissingSource(printable(device), ASSUMED_RATE, UnavailableError(str(reason)))

    def again() -> Source:
        if _is_microphone(device):
            with opening:
                if not open_streams:
                    refresh_devices()  # The device may have been plugged in since the last listing.
        return open_source(device, config)

    return ReconnectingSource(missing, again)


def excludes(one: str, other: str) -> bool:
    """Return True if device `other` may fail to open while device `one` is open.

    A sound card or a camera may allow only one stream. A pipe gives its audio only once.
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
    """Return True if `device` is the path of a file, which need not exist."""
    suffix = os.path.splitext(device)[1].lower()
    if suffix in AUDIO_SUFFIXES or os.sep in device or "\0" in device:
        return True
    return os.path.exists(os.path.expanduser(device))


def _path(device: str) -> Path:
    """Return `device` as a path, with "~" expanded to the user's home.

    Raises
    ------
    AudioError
        The path names the home of a user who does not exist.
    """
    try:
        return Path(device).expanduser()
    except RuntimeError:
        raise AudioError(f"{printable(device)}: there is no such user") from None


def open_recording(path: Path, config: StreamConfig) -> Source:
    """Open the file or the pipe at `path`. ffmpeg reads a file that libsndfile cannot read.

    Raises
    ------
    AudioError
        There is no audio at `path`, or it cannot be read.
    """
    fast, channel = config.fast, config.channel
    try:
        piped = is_pipe(path)
    except (OSError, ValueError):
        piped = False  # FileSource reports the error when it opens the path.
    if piped:
        return named_pipe(path, config.rate, config.channels, fast, channel)
    try:
        return FileSource(path, fast, channel=channel)
    except UnknownFormatError:
        # The file's suffix is one of libsndfile's formats, but its content is not. If ffmpeg is
        # missing, this error is better than the advice to install ffmpeg, which would not help.
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
