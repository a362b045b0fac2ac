"""Keeps the audio around each event, only where that is asked for."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.features import Floats
from edge.heard import Heard
from edge.track import Event

LONGEST_S = 60.0  # of an event; of rain that lasts all night, this is enough
BEHIND = 200  # captions that this may be behind the newest audio; what is older is forgotten


@dataclass(frozen=True)
class Clip:
    """Audio to be written, and what was heard in it."""

    path: Path
    samples: Floats
    about: dict[str, object]


class Keeper:
    """A FLAC file for each event, with `seconds` before it and after it, in `folder`."""

    def __init__(self, config: StreamConfig, rate: int) -> None:
        """`rate` of the audio, in Hz.

        Raises: OutputError if the folder cannot be made or written.
        """
        self._folder, self._around_s, self._rate = Path(config.keep_folder), config.keep_audio, rate
        self.name = f"folder {self._folder}"
        self._hold_s = LONGEST_S + 2 * self._around_s + config.window_s + BEHIND * config.hop_s
        self._audio: dict[str, deque[tuple[float, Floats]]] = {}
        self._waiting: list[tuple[Heard, Event]] = []  # closed; the time after them is not over
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise OutputError(f"{self.name}: cannot be written; choose another --keep-folder")

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Audio of `device`, as it comes; called in its thread."""
        audio = self._audio.setdefault(device, deque())
        audio.append((start_s, samples))
        while audio[0][0] < start_s - self._hold_s:
            audio.popleft()

    def of(self, heard: Heard) -> list[Clip] | None:
        self._waiting += [(heard, event) for event in heard.events if not event.open]
        if heard.caption is None:  # nothing follows, or a gap
            return self._clips(heard.device, float("inf"))
        return self._clips(heard.device, heard.caption.end_s)

    def end(self) -> list[Clip] | None:
        clips = [clip for device in self._audio for clip in self._clips(device, float("inf")) or []]
        return clips or None

    def _clips(self, device: str, now_s: float) -> list[Clip] | None:
        """Of the events of `device` after which enough time has passed at `now_s`."""
        ready = [
            (heard, event)
            for heard, event in self._waiting
            if heard.device == device and event.end_s + self._around_s <= now_s
        ]
        self._waiting = [one for one in self._waiting if one not in ready]
        return [self._clip(heard, event) for heard, event in ready] or None

    def _clip(self, heard: Heard, event: Event) -> Clip:
        start_s = max(0.0, event.start_s - self._around_s)
        end_s = min(event.end_s, event.start_s + LONGEST_S) + self._around_s
        samples = np.zeros(round((end_s - start_s) * self._rate), np.float32)
        written = 0
        for began_s, piece in list(self._audio.get(heard.device, ())):
            first = round((began_s - start_s) * self._rate)
            low, high = max(0, first), min(len(samples), first + len(piece))
            if low < high:
                samples[low:high] = piece[low - first : high - first]
                written = max(written, high)
        at = heard.at(event.start_s)
        when = f"{event.start_s:08.1f}s" if at is None else re.sub(r"[-:]|\.\d+", "", at)
        name = f"{when}_{_slug(heard.device)}_{event.number}_{_slug(event.text)}"
        about = heard.record(event) | {"audio_start_s": round(start_s, 3)}
        return Clip(self._folder / name, samples[:written], about)

    def put(self, piece: list[Clip]) -> None:
        for clip in piece:
            try:
                _write(clip, self._rate)
            except (OSError, soundfile.LibsndfileError) as error:
                raise self._failed(error) from None

    def _failed(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or "the disk may be full"
        return OutputError(f"{self.name}: cannot be written ({why}); choose another --keep-folder")

    def reopen(self) -> None:
        """Each file is opened as it is written."""

    def close(self) -> None:
        """No file is open."""


def _write(clip: Clip, rate: int) -> None:
    """`clip` under its name, or nothing."""
    part = clip.path.with_name(f".{clip.path.name}.part")
    try:
        soundfile.write(part, np.clip(clip.samples, -1.0, 1.0), rate, format="FLAC")
        part.replace(clip.path.with_name(f"{clip.path.name}.flac"))
    finally:
        part.unlink(missing_ok=True)
    text = json.dumps(clip.about) + "\n"
    clip.path.with_name(f"{clip.path.name}.json").write_text(text, encoding="utf-8")


def _slug(text: str) -> str:
    """`text` as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "x"
