"""Overlapping windows become events: each shown early, worded calmly, closed when it ends."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sinks.subtitles import SHORTEST_S, Cue, Cues, srt, vtt
from edge.streaming.event_tracker import Event, EventTracker, EventTrackerSpec, clauses_of, same
from edge.streaming.pipeline import Caption

TEXTS = [
    "a dog barks",
    "a dog is barking",
    "rain falls",
    "a dog barks while rain falls",
    "birds sing",
]


def captions(*texts: str, hop_s: float = 1.0, confidence: float = 0.5) -> list[Caption]:
    """A window of 5 s each hop; "" is quiet, "?" is one that the model is not sure of."""
    states = {"": "quiet", "?": "listening"}
    return [
        Caption(
            start_s=i * hop_s,
            end_s=i * hop_s + 5.0,
            state=states.get(text, "caption"),
            text="" if text in states else text,
            confidence=confidence,
            level_db=-20.0,
        )
        for i, text in enumerate(texts)
    ]


def told(
    heard: list[Caption], spec: EventTrackerSpec | None = None, hop_s: float = 1.0
) -> list[tuple[float, Event]]:
    """What a track says and when, as the window ends that it says it after."""
    track = EventTracker(hop_s, spec)
    said = [(caption.end_s, event) for caption in heard for event in track.push(caption)]
    return said + [(heard[-1].end_s, event) for event in track.end()]


def told_at_end(heard: list[Caption], hop_s: float = 1.0) -> list[str]:
    """The words of the events that open only as the source ends; each closes at once."""
    track = EventTracker(hop_s)
    before = {event.number for caption in heard for event in track.push(caption)}
    new = [event for event in track.end(source_ended=True) if event.number not in before]
    assert [event.open for event in new] == [True] * (len(new) // 2) + [False] * (len(new) // 2)
    assert [e.text for e in new if e.open] == [e.text for e in new if not e.open]
    return [event.text for event in new if event.open]


# Of windows that are sure by a half, each second, two must agree.
AGREE_2 = EventTrackerSpec(evidence_s=1.0, missed_s=2.0, heard_s=1.0)


def test_one_sound_is_one_event() -> None:
    heard = captions("", "", *["a dog barks"] * 6, "", "", "")
    (at, opened), (later, closed) = told(heard, AGREE_2)
    assert (opened.text, opened.open, opened.number) == ("a dog barks", True, 1)
    assert at == 8.0  # the second window that says so
    assert (closed.open, closed.number) == (False, 1)
    assert later == 14.0  # the second that does not
    # First heard between 6 and 7 s, and a window must hold a second of it; the end likewise.
    assert (closed.start_s, closed.end_s) == (5.5, 8.5)


def test_what_is_named_from_the_first_window_began_with_it() -> None:
    (_, opened), _ = told(captions("rain falls", "rain falls"), AGREE_2)
    assert opened.start_s == 0.0


def test_what_is_named_to_the_last_window_ends_with_it() -> None:
    *_, (_, closed) = told(captions("", *["rain falls"] * 3), AGREE_2)
    assert not closed.open
    assert closed.end_s == 8.0


def test_one_window_is_not_believed_unless_it_is_sure() -> None:
    heard = captions("", "a dog barks", "", "", "")
    assert told(heard, AGREE_2) == []
    sure = captions("", "a dog barks", "", "", "", confidence=1.0)
    assert [event.text for _, event in told(sure, AGREE_2)] == ["a dog barks"] * 2


BARK = "a dog barks"
BIRDS = ["birds sing"] * 4


@pytest.mark.parametrize(
    ("texts", "confidence", "wanted"),
    [
        ([BARK], 0.43, [BARK]),  # A recording of one window.
        (["a dog barks while rain falls"], 0.43, [BARK, "rain falls"]),
        ([""], 0.9, []),
        (["?"], 0.9, []),
        ([BARK, BARK], 0.43, [BARK]),  # One of 6 s.
        (["", BARK], 0.43, [BARK]),
        ([BARK, ""], 0.43, [BARK]),
        ([BARK, "?"], 0.43, [BARK]),
        (["birds sing", BARK], 0.43, [BARK]),  # The last window knows most.
        ([*BIRDS, "", BARK], 0.8, [BARK]),  # One of 10 s.
        ([*BIRDS, "", BARK, BARK], 0.43, [BARK]),
        ([*BIRDS, "", BARK], 0.5, []),
        ([*BIRDS, BARK, ""], 0.8, []),  # The last window does not name it any more.
        ([*BIRDS, BARK, "birds sing"], 0.8, []),
        ([*[""] * 50, BARK], 0.8, [BARK]),
        ([*[""] * 50, BARK], 0.5, []),
        ([BARK] * 4, 0.5, []),  # It is told already.
    ],
)
def test_a_source_that_ends_leaves_less_time_for_evidence(
    texts: list[str], confidence: float, wanted: list[str]
) -> None:
    assert told_at_end(captions(*texts, confidence=confidence)) == wanted


def test_the_end_of_a_source_is_judged_alike_at_any_hop() -> None:
    for hop_s, few in [(0.1, 6), (0.5, 3), (2.0, 1)]:
        heard = captions(*[BARK] * few, hop_s=hop_s, confidence=0.25)
        assert told_at_end(heard, hop_s) == [BARK]
        long = captions(*[""] * 100, *[BARK] * 2, hop_s=hop_s, confidence=0.25)
        assert told_at_end(long, hop_s) == ([BARK] if hop_s * 2 * 0.25 > 0.78 else [])


def test_an_end_that_is_not_the_source_s_tells_nothing_new() -> None:
    track = EventTracker(1.0)
    (caption,) = captions(BARK)
    assert [*track.push(caption), *track.end()] == []


def test_after_a_gap_few_windows_are_enough_again() -> None:
    (last,) = captions(BARK, confidence=0.43)
    after = replace(last, start_s=90.0, end_s=95.0)
    assert told_at_end([*captions(*[""] * 50), after]) == [BARK]


def test_a_sound_that_goes_on_for_a_week_takes_no_memory() -> None:
    track = EventTracker(1.0)
    (caption,) = captions(BARK, confidence=0.8)

    def hear(hours: int) -> int:
        for number in range(3600 * hours):
            list(track.push(replace(caption, start_s=float(number), end_s=number + 5.0)))
        return len(pickle.dumps(track._sounds))

    track_after_an_hour = hear(1)
    assert hear(4) < track_after_an_hour + 50
    (closed,) = track.end()
    assert closed.confidence == 0.8


def test_numbers_go_on_from_another_track() -> None:
    numbers = count(1)
    for number in (1, 2):
        track = EventTracker(1.0, numbers=numbers)
        events = [event for caption in captions(*[BARK] * 4) for event in track.push(caption)]
        assert [event.number for event in events] == [number]


def test_two_sounds_at_once_are_two_events() -> None:
    heard = captions(
        "", *["rain falls"] * 3, *["a dog barks while rain falls"] * 3, *["rain falls"] * 4
    )
    said = told(heard, AGREE_2)
    closed = {event.text: event for _, event in said if not event.open}
    assert closed.keys() == {"rain falls", "a dog barks"}
    assert closed["rain falls"].start_s < closed["a dog barks"].start_s
    assert closed["rain falls"].end_s > closed["a dog barks"].end_s


def test_other_words_for_the_same_do_not_flicker() -> None:
    heard = captions(*["a dog barks", "a dog is barking"] * 4)
    assert [event.text for _, event in told(heard, AGREE_2)] == ["a dog barks"] * 2


def test_better_words_replace_the_first_ones_once() -> None:
    heard = captions(*["a person speaks"] * 2, *["a woman speaks"] * 6)
    texts = [event.text for _, event in told(heard, AGREE_2)]
    assert texts == ["a person speaks", "a woman speaks", "a woman speaks"]
    assert len({event.number for _, event in told(heard, AGREE_2)}) == 1


def test_a_window_that_is_not_sure_ends_nothing_until_it_is_past() -> None:
    said = told(captions(*["rain falls"] * 2, *["?"] * 3, "rain falls"), AGREE_2)
    assert len({event.number for _, event in said}) == 1
    (_, first), (at, second) = told(captions(*["rain falls"] * 2, *["?"] * 9), AGREE_2)
    assert (first.open, second.open) == (True, False)
    assert at == 12.0  # the first window that shares nothing with the last that named it


def test_windows_side_by_side_are_one_event_too() -> None:
    heard = captions(*["rain falls"] * 3, "birds sing", "birds sing", hop_s=5.0)
    said = told(heard, EventTrackerSpec(), hop_s=5.0)
    assert [(at, event.text, event.open) for at, event in said] == [
        (5.0, "rain falls", True),
        (20.0, "rain falls", False),
        (20.0, "birds sing", True),
        (25.0, "birds sing", False),
    ]


def test_after_a_gap_it_is_another_event() -> None:
    before = captions(*["rain falls"] * 3)
    after = [
        Caption(c.start_s + 60.0, c.end_s + 60.0, c.state, c.text, c.confidence, c.level_db)
        for c in before
    ]
    said = [event for _, event in told([*before, *after], AGREE_2)]
    assert [event.number for event in said] == [1, 1, 2, 2]
    assert said[1].end_s <= 7.0
    assert said[2].start_s == 60.0


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("a dog barks", "a dog is barking", True),
        ("a baby cries", "a baby is crying", True),
        ("a person speaks", "a woman is speaking", True),
        ("a person speaks", "a person coughs", False),
        ("rain falls", "rain pours on a roof", True),
        ("a telephone rings", "a bell rings", False),
        ("something", "someone", False),
    ],
)
def test_which_clauses_are_about_one_sound(one: str, other: str, alike: bool) -> None:
    assert same(one, other) == alike
    assert same(other, one) == alike
    assert same(one, one)


def test_clauses() -> None:
    assert clauses_of("a dog barks while rain falls") == ["a dog barks", "rain falls"]
    assert clauses_of("a bell rings followed by a dog barking") == ["a bell rings", "a dog barking"]
    assert clauses_of("rain falls and rain falls") == ["rain falls"]
    assert clauses_of("a washing machine runs") == ["a washing machine runs"]


HEARD = st.lists(st.sampled_from([*TEXTS, "", "?"]), min_size=1, max_size=40)


@given(HEARD, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.0, 1.0, 2.0]))
def test_whatever_is_heard_every_event_opens_once_and_closes_once(
    texts: list[str], hop_s: float, evidence_s: float
) -> None:
    heard = captions(*texts, hop_s=hop_s)
    by_number: dict[int, list[tuple[float, Event]]] = {}
    for at, event in told(heard, EventTrackerSpec(evidence_s=evidence_s), hop_s):
        by_number.setdefault(event.number, []).append((at, event))
    assert sorted(by_number) == list(range(1, len(by_number) + 1))
    for said in by_number.values():
        assert [event.open for _, event in said] == [True] * (len(said) - 1) + [False]
        opened = said[:-1]
        assert all(a[1].text != b[1].text for a, b in pairwise(opened))
        for at, event in said:
            assert 0.0 <= event.start_s <= event.end_s <= at
            assert 0.0 < event.confidence <= 1.0
            assert event.start_s == said[0][1].start_s


@given(HEARD, st.sampled_from([0.5, 1.0]))
def test_subtitles_are_in_order_and_hold_every_event(texts: list[str], hop_s: float) -> None:
    heard = captions(*texts, hop_s=hop_s)
    track, cues = EventTracker(hop_s, AGREE_2), Cues(lag_s=5.0 + 3 * hop_s)
    out: list[Cue] = []
    closed: list[Event] = []
    for caption in heard:
        for event in track.push(caption):
            cues.push(event)
            closed += [] if event.open else [event]
        out += cues.ready(caption.end_s)
    for event in track.end():
        cues.push(event)
        closed.append(event)
    out += cues.rest()
    assert [cue.start_s for cue in out] == sorted(cue.start_s for cue in out)
    for event in closed:
        own = [c for c in out if c.text == event.text and c.start_s >= event.start_s]
        assert event.start_s in {cue.start_s for cue in own}
        assert any(c.end_s == max(event.end_s, c.start_s + SHORTEST_S) for c in own)
    assert sum(c.end_s - c.start_s for c in out) <= sum(
        max(e.end_s - e.start_s, 0.0) + SHORTEST_S for e in closed
    )


def test_the_formats_of_subtitles() -> None:
    cues = Cues(lag_s=1.0)
    cues.push(Event(1, 3661.5, 3664.25, "a dog barks <b>&", 0.8, open=False))
    (cue,) = cues.rest()
    assert srt(7, cue) == "7\n01:01:01,500 --> 01:01:04,250\na dog barks <b>&\n\n"
    assert vtt(cue) == "01:01:01.500 --> 01:01:04.250\na dog barks &lt;b&gt;&amp;\n\n"


def test_a_sound_that_goes_on_is_told_again_and_holds_nothing_back() -> None:
    cues = Cues(lag_s=8.0)
    cues.push(Event(1, 0.0, 5.0, "rain falls", 0.6, open=True))
    cues.push(Event(2, 3.0, 4.0, "a dog barks", 0.6, open=True))
    cues.push(Event(2, 3.0, 4.5, "a dog barks", 0.6, open=False))
    assert cues.ready(17.0) == []
    assert cues.ready(18.0) == [Cue(0.0, 10.0, "rain falls"), Cue(3.0, 4.5, "a dog barks")]
    cues.push(Event(1, 0.0, 12.0, "rain falls", 0.6, open=False))
    assert cues.rest() == [Cue(10.0, 12.0, "rain falls")]
