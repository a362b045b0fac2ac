"""Events as SRT and WebVTT subtitles. Both formats require cues in the order of their start."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.streaming.event_tracker import Event

# Maximum length of a cue in seconds. A longer event gets several cues, so that the cues of later
# events need not wait for its end.
LONGEST_S = 10.0
SHORTEST_S = 1.0  # Minimum length of a cue in seconds, so that it can be read.


@dataclass(frozen=True)
class Cue:
    """A line of text and the time in seconds during which it is shown."""

    start_s: float
    end_s: float
    text: str


class Cues:
    """Turns changes of events into cues. A cue is given out once no earlier cue can follow.

    Parameters
    ----------
    lag_s
        Maximum time in seconds from the start or end of an event until it is reported.
    """

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s
        # Open events by number. Each starts where its last cue ends.
        self._open: dict[int, Event] = {}
        self._done: list[Cue] = []

    def wait_for(self, lag_s: float) -> None:
        """Increase the maximum delay of events to `lag_s` seconds; never reduce it."""
        self._lag_s = max(self._lag_s, lag_s)

    def push(self, event: Event) -> None:
        """Take the new state of an event."""
        known = self._open.pop(event.number, event)
        now = replace(event, start_s=known.start_s)
        if event.open:
            self._open[event.number] = now
        elif now.start_s == event.start_s or now.end_s > now.start_s:  # Else cues cover all of it.
            self._add(now, event.end_s)

    def ready(self, now_s: float) -> list[Cue]:
        """Return the cues that can no longer change, given that the last window ended at `now_s`.

        Cues are in the order of their start.
        """
        final_s = now_s - self._lag_s
        for number, event in self._open.items():
            if event.start_s + LONGEST_S <= final_s:
                end_s = event.start_s + LONGEST_S
                self._add(event, end_s)
                self._open[number] = replace(event, start_s=end_s)
        return self._until(min([final_s, *(event.start_s for event in self._open.values())]))

    def rest(self) -> list[Cue]:
        """Return all remaining cues at the end of a run, when every event is closed."""
        return self._until(float("inf"))

    def _add(self, event: Event, end_s: float) -> None:
        end_s = max(end_s, event.start_s + SHORTEST_S)
        self._done.append(Cue(event.start_s, end_s, event.text))

    def _until(self, start_s: float) -> list[Cue]:
        found = sorted((c for c in self._done if c.start_s <= start_s), key=lambda c: c.start_s)
        self._done = [c for c in self._done if c.start_s > start_s]
        return found


def srt(number: int, cue: Cue) -> str:
    """Return `cue` in SubRip format; `number` counts the cues of a file from 1."""
    return f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"


VTT_HEADER = "WEBVTT\n\n"


def vtt(cue: Cue) -> str:
    """Return `cue` in WebVTT format (W3C, 2019); a file begins with `VTT_HEADER`."""
    # Escape the markup characters of the format, so that no model's text is taken for markup.
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}\n\n"


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{point}{thousandths:03d}"
