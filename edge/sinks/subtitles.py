"""Events as subtitles, SRT and WebVTT: cues in the order of their starts, as both formats want."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.streaming.event_tracker import Event

# A sound that goes on is told again after so long: what began later does not wait for its end.
LONGEST_S = 10.0
SHORTEST_S = 1.0  # or nobody could read it


@dataclass(frozen=True)
class Cue:
    """A line of text and when it is shown, in seconds."""

    start_s: float
    end_s: float
    text: str


class Cues:
    """Events in, as they change; cues out, once none that begins earlier can follow."""

    def __init__(self, lag_s: float) -> None:
        """`lag_s`: by so much an event may be known later than it begins or ends."""
        self._lag_s = lag_s
        self._open: dict[int, Event] = {}  # by number, from where it has no cue yet
        self._done: list[Cue] = []

    def wait_for(self, lag_s: float) -> None:
        """Wait longer for events, if they may be known later now."""
        self._lag_s = max(self._lag_s, lag_s)

    def push(self, event: Event) -> None:
        """What has become of an event."""
        known = self._open.pop(event.number, event)
        now = replace(event, start_s=known.start_s)
        if event.open:
            self._open[event.number] = now
        elif now.start_s == event.start_s or now.end_s > now.start_s:  # else all of it was told
            self._tell(now, event.end_s)

    def ready(self, now_s: float) -> list[Cue]:
        """The cues that are certain, as the last window ended at `now_s`."""
        certain_s = now_s - self._lag_s
        for number, event in self._open.items():
            if event.start_s + LONGEST_S <= certain_s:
                end_s = event.start_s + LONGEST_S
                self._tell(event, end_s)
                self._open[number] = replace(event, start_s=end_s)
        return self._until(min([certain_s, *(event.start_s for event in self._open.values())]))

    def rest(self) -> list[Cue]:
        """All others, as every event is closed."""
        return self._until(float("inf"))

    def _tell(self, event: Event, end_s: float) -> None:
        end_s = max(end_s, event.start_s + SHORTEST_S)
        self._done.append(Cue(event.start_s, end_s, event.text))

    def _until(self, start_s: float) -> list[Cue]:
        found = sorted((c for c in self._done if c.start_s <= start_s), key=lambda c: c.start_s)
        self._done = [c for c in self._done if c.start_s > start_s]
        return found


def srt(number: int, cue: Cue) -> str:
    """Cue `number`, from 1 on, of a SubRip file."""
    return f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"


VTT_HEADER = "WEBVTT\n\n"


def vtt(cue: Cue) -> str:
    """A cue of a WebVTT file (W3C, 2019), which begins with `VTT_HEADER`."""
    # The format's own markup; a model's words hold none, and another model's must not be taken so.
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}\n\n"


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{point}{thousandths:03d}"
