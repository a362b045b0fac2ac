"""The clip recorder: keeps the audio around each event, if the user asks for it."""

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

LONGEST_S = 60.0  # Maximum number of seconds kept of one event, such as rain all night.
BEHIND_S = 60.0  # Seconds by which this sink may lag behind; older audio is dropped.
STUCK_S = 5.0  # Seconds without progress after which sources no longer wait for this sink.
SWEEP_S = 3600.0  # Seconds between two searches for old clips.

Key = tuple[str, int]  # Device label and number of an event.


class ClipRecorder:
    """Writes a FLAC file for each event into `config.keep_folder`.

    The file contains `config.keep_audio` seconds before and after the event too. The device threads
    call `hear`; the thread of the sink worker calls all other methods. Any thread may call `close`.

    Parameters
    ----------
    config
        The settings.
    rate
        Sample rate of the audio in Hz.
    sources_wait
        True if `hear` may wait, so that no audio is lost.

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """

    def __init__(self, config: StreamConfig, rate: int, sources_wait: bool = False) -> None:
        self._folder = Path(config.keep_folder)
        self._around_s, self._rate = config.keep_audio, rate
        self.name = f"folder {self._folder}"
        self._ahead_s = self._hold_s = 0.0
        self.configure(config)
        self._sources_wait = sources_wait
        self._condition = threading.Condition()  # Guards `_audio` and `_done_s`.
        self._audio: dict[str, deque[tuple[float, Floats]]] = {}
        self._done_s: dict[str, float] = {}  # End of the newest window in seconds, by device.
        # Events whose audio is not complete.
        self._waiting: dict[Key, tuple[WindowResult, Event]] = {}
        self._kept: set[Key] = set()  # Events that are open and have their clip already.
        self._last_sweep = -SWEEP_S
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise OutputError(f"{self.name}: cannot be written; choose another --keep-folder")
        self._sweep()

    def configure(self, config: StreamConfig) -> None:
        """Apply the limits on clips, and buffer enough audio for the window length of `config`."""
        self._most_bytes = None if config.keep_max_mb is None else config.keep_max_mb * 1e6
        self._longest_s = None if config.keep_days is None else config.keep_days * 86_400.0
        # The start or end of an event is reported up to `lag_s` late, and this sink may lag too.
        lag_s = config.window_s + EventTrackerSpec().missed_s + 2.0 * config.hop_s
        self._ahead_s = lag_s + BEHIND_S
        self._hold_s = LONGEST_S + 2 * self._around_s + self._ahead_s

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Buffer audio of `device`; called in the thread of the device.

        Parameters
        ----------
        device
            Label of the device in captions.
        start_s
            Time of the first sample in seconds.
        samples
            Mono samples, shape (n_samples,).
        """
        with self._condition:
            audio = self._audio.setdefault(device, deque())
            audio.append((start_s, samples))
            while audio[0][0] < start_s - self._hold_s:
                audio.popleft()
            self._done_s.setdefault(device, start_s)
            while self._sources_wait and start_s - self._done_s[device] > self._ahead_s:
                if not self._condition.wait(STUCK_S):
                    self._sources_wait = False

    def of(self, result: WindowResult) -> list[Clip] | None:
        """Return the clips whose audio is complete after `result`, or None if there is none."""
        for event in result.events:
            key = (result.device, event.number)
            if key not in self._kept:
                self._waiting[key] = (result, event)
            elif not event.open:
                self._kept.discard(key)
        # A result without a caption marks the end of the audio or a gap.
        now_s = float("inf") if result.caption is None else result.caption.end_s
        with self._condition:
            if result.caption is not None:
                self._done_s[result.device] = now_s
            self._condition.notify_all()
        if time.monotonic() - self._last_sweep > SWEEP_S:
            self._sweep()
        return self._clips(result.device, now_s)

    def end(self) -> list[Clip] | None:
        """Return the clips of all remaining events, or None if there is none."""
        devices = dict.fromkeys(device for device, _ in self._waiting)
        return [c for device in devices for c in self._clips(device, float("inf")) or []] or None

    def _clips(self, device: str, now_s: float) -> list[Clip] | None:
        """Return the clips of the events of `device` whose audio is complete at `now_s` seconds."""
        clips: list[Clip] = []
        for key, (result, event) in list(self._waiting.items()):
            if key[0] != device or self._end_s(event) > now_s:
                continue
            del self._waiting[key]
            if event.open:
                self._kept.add(key)
            if clip := self._clip(result, event):
                clips.append(clip)
        return clips or None

    def _end_s(self, event: Event) -> float:
        """Return the end of the clip of `event` in seconds."""
        longest_s = event.start_s + LONGEST_S
        return (longest_s if event.open else min(event.end_s, longest_s)) + self._around_s

    def _clip(self, result: WindowResult, event: Event) -> Clip | None:
        """Return the clip of `event`, or None if no audio of it is buffered."""
        start_s = max(0.0, event.start_s - self._around_s)
        samples = np.zeros(round((self._end_s(event) - start_s) * self._rate), np.float32)
        written = 0
        with self._condition:
            audio = list(self._audio.get(result.device, ()))
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
        at = result.at(event.start_s, event.number)
        when = f"{event.start_s:08.1f}s" if at is None else re.sub(r"[-:]|\.\d+", "", at)
        name = clip_name(when, result.device, event.number, event.text)
        about = result.record(event) | {"audio_start_s": round(start_s, 3)}
        return Clip(self._folder / name, samples[:written], about)

    def put(self, piece: list[Clip]) -> None:
        """Write the clips, and remove each written clip from `piece`, so that a retry goes on.

        Raises
        ------
        OutputError
            If a clip cannot be written.
        """
        while piece:
            try:
                write_clip(piece[0], self._rate)
            except (OSError, soundfile.LibsndfileError) as error:
                raise self._failed(error) from None
            piece.pop(0)
        if self._most_bytes is not None:
            self._sweep()

    def _sweep(self) -> None:
        self._last_sweep = time.monotonic()
        try:
            remove_old_clips(self._folder, self._most_bytes, self._longest_s)
        except OSError as error:
            log.warning("%s: old clips cannot be removed (%s)", self.name, error.strerror)

    def _failed(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or "the disk may be full"
        return OutputError(f"{self.name}: cannot be written ({why}); choose another --keep-folder")

    def close(self) -> None:
        """Release the sources that wait. There is no open file to close."""
        with self._condition:
            self._sources_wait = False
            self._condition.notify_all()
