"""Which source the setting `device` means."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.config import StreamConfig
from edge.errors import UnavailableError, UnknownFormatError
from edge.ffmpeg import FfmpegSource, is_url
from edge.inputs import find_again, find_input, opening
from edge.microphone import MicrophoneSource, MissingMicrophone
from edge.patient import PatientSource
from edge.pcm import standard_input
from edge.sources import AUDIO_SUFFIXES, FileSource, Source


def open_source(device: str, config: StreamConfig) -> Source:
    """The source that `device` means, opened as `config` says.

    Raises: AudioError or DeviceError if there is none, and waiting would not help.
    """
    fast, channel = config.fast, config.channel
    if device == "-":
        return standard_input(config.rate, config.channels, fast, channel)
    if is_url(device):
        first = FfmpegSource(device, fast, channel)
        return PatientSource(first, lambda: FfmpegSource(device, fast, channel))
    path = Path(device).expanduser()
    if path.exists() or path.suffix.lower() in AUDIO_SUFFIXES or os.sep in device:
        return _open_file(path, fast, channel)
    return _open_microphone(device, channel)


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
            first = MissingMicrophone(device, reason)

    def again() -> Source:
        with opening:
            return MicrophoneSource(find_again(wanted, device), channel)

    return PatientSource(first, again)
