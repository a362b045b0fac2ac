"""Keeps the audio around each event, only where that is asked for."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import soundfile

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.inference.features import Floats
from edge.sinks.clip_files import Clip, clip_name, remove_old_clips, write_clip
from edge.streaming.event_tracker import Event, EventTrackerSpec
from edge.streaming.results import WindowResult

log = logging.getLogger(__name__)

LONGEST_S = 60.0  # Seconds of an event that are kept; of rain that lasts all night this is enough.
BEHIND_S = 60.0  # Seconds by which this may be behind the newest audio; older audio is forgotten.
STUCK_S = 5.0  # A source waits for this sink no longer if it does not move for so many seconds.
SWEEP_S = 3600.0  # Seconds from one search for clips that are too old to the next.

Key = tuple[str, int]  # device and number of an event


class ClipRecorder:
    """A FLAC file for each event, with `seconds` before it and after it, in `folder`.

    `hear` is called in the threads of the devices, all else in the thread of the sink.
    """

    def __init__(self, config: StreamConfig, rate: int, sources_wait: bool = False) -> None:
        """`rate` of the audio, in Hz. `sources_wait`: `hear` may wait, so that nothing is lost.

        Raises: OutputError if the folder cannot be made or written.
        """
        self._folder = Path(config.keep_folder)
        self._around_s, self._rate = config.keep_audio, rate
        self.name = f"folder {self._folder}"
        self._ahead_s = self._hold_s = 0.0
        self.configure(config)
        self._sources_wait = sources_wait
        self._news = threading.Condition()  # guards the next two
        self._audio: dict[str, deque[tuple[float, Floats]]] = {}
        self._done_s: dict[str, float] = {}  # by device: up to where windows have come
        self._waiting: dict[Key, tuple[WindowResult, Event]] = {}  # whose audio is not complete
        self._kept: set[Key] = set()  # that were kept while they are open
        self._swept_at = -SWEEP_S
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise OutputError(f"{self.name}: cannot be written; choose another --keep-folder")
        self._sweep()

    def configure(self, config: StreamConfig) -> None:
        """Hold as much audio as windows of this length need, and as many clips as are wanted."""
        self._most_bytes = None if config.keep_max_mb is None else config.keep_max_mb * 1e6
        self._longest_s = None if config.keep_days is None else config.keep_days * 86_400.0
        # An event may be known later than it begins or ends by so much, and the sink be behind.
        lag_s = config.window_s + EventTrackerSpec().missed_s + 2.0 * config.hop_s
        self._ahead_s = lag_s + BEHIND_S
        self._hold_s = LONGEST_S + 2 * self._around_s + self._ahead_s

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Audio of `device`, as it comes; called in its thread."""
        with self._news:
            audio = self._audio.setdefault(device, deque())
            audio.append((start_s, samples))
            while audio[0][0] < start_s - self._hold_s:
                audio.popleft()
            self._done_s.setdefault(device, start_s)
            while self._sources_wait and start_s - self._done_s[device] > self._ahead_s:
                if not self._news.wait(STUCK_S):
                    self._sources_wait = False

    def of(self, heard: WindowResult) -> list[Clip] | None:
        for event in heard.events:
            key = (heard.device, event.number)
            if key not in self._kept:
                self._waiting[key] = (heard, event)
            elif not event.open:
                self._kept.discard(key)
        # Without a caption nothing follows, or there is a gap.
        now_s = float("inf") if heard.caption is None else heard.caption.end_s
        with self._news:
            if heard.caption is not None:
                self._done_s[heard.device] = now_s
            self._news.notify_all()
        if time.monotonic() - self._swept_at > SWEEP_S:
            self._sweep()
        return self._clips(heard.device, now_s)

    def end(self) -> list[Clip] | None:
        devices = dict.fromkeys(device for device, _ in self._waiting)
        return [c for device in devices for c in self._clips(device, float("inf")) or []] or None

    def _clips(self, device: str, now_s: float) -> list[Clip] | None:
        """Of the events of `device` after which enough time has passed at `now_s`."""
        clips: list[Clip] = []
        for key, (heard, event) in list(self._waiting.items()):
            if key[0] != device or self._end_s(event) > now_s:
                continue
            del self._waiting[key]
            if event.open:
                self._kept.add(key)
            if clip := self._clip(heard, event):
                clips.append(clip)
        return clips or None

    def _end_s(self, event: Event) -> float:
        """Where the audio ends that is kept of `event`."""
        longest_s = event.start_s + LONGEST_S
        return (longest_s if event.open else min(event.end_s, longest_s)) + self._around_s

    def _clip(self, heard: WindowResult, event: Event) -> Clip | None:
        """None if there is no audio."""
        start_s = max(0.0, event.start_s - self._around_s)
        samples = np.zeros(round((self._end_s(event) - start_s) * self._rate), np.float32)
        written = 0
        with self._news:
            audio = list(self._audio.get(heard.device, ()))
        for began_s, piece in audio:
            first = round((began_s - start_s) * self._rate)
            low, high = max(0, first), min(len(samples), first + len(piece))
            if low < high:
                samples[low:high] = piece[low - first : high - first]
                written = max(written, high)
        if not written:
            log.warning(
                "%s: there is no audio of event %d, %r", self.name, event.number, event.text
            )
            return None
        at = heard.at(event.start_s, event.number)
        when = f"{event.start_s:08.1f}s" if at is None else re.sub(r"[-:]|\.\d+", "", at)
        name = clip_name(when, heard.device, event.number, event.text)
        about = heard.record(event) | {"audio_start_s": round(start_s, 3)}
        return Clip(self._folder / name, samples[:written], about)

    def put(self, piece: list[Clip]) -> None:
        """Write the clips; those that are written leave `piece`, which may be put again."""
        while piece:
            try:
                write_clip(piece[0], self._rate)
            except (OSError, soundfile.LibsndfileError) as error:
                raise self._failed(error) from None
            piece.pop(0)
        if self._most_bytes is not None:
            self._sweep()

    def _sweep(self) -> None:
        self._swept_at = time.monotonic()
        try:
            remove_old_clips(self._folder, self._most_bytes, self._longest_s)
        except OSError as error:
            log.warning("%s: old clips cannot be removed (%s)", self.name, error.strerror)

    def _failed(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or "the disk may be full"
        return OutputError(f"{self.name}: cannot be written ({why}); choose another --keep-folder")

    def close(self) -> None:
        """Let no source wait any more; no file is open."""
        with self._news:
            self._sources_wait = False
            self._news.notify_all()
