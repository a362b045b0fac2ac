"""Decisions about doubtful clips: drop them, or give them another label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.corpus.selection import Candidate

DROP, RELABEL = "drop", "relabel"
NEAR_S = 0.5  # Distance between the start in the table and that of the excerpt it means.


@dataclass(frozen=True)
class Decision:
    """What is done with the excerpts of a recording."""

    source: str
    source_path: str
    excerpt_start_s: str  # Start of the excerpt in seconds; empty for all of the recording.
    label: str  # The label that it has to have, so that a decision is not applied twice.
    decision: str  # "drop" or "relabel".
    new_label: str  # For "relabel".
    reason: str


def decided(
    clips: Sequence[Candidate], decisions: Sequence[Decision]
) -> tuple[list[Candidate], int, int]:
    """Apply `decisions` to `clips`.

    Returns
    -------
    clips : list of Candidate
        The clips that are kept, with the labels that were decided.
    dropped, relabelled : int
        Numbers of clips.
    """
    by_recording: dict[tuple[str, str, str], list[Decision]] = {}
    for decision in decisions:
        key = decision.source, decision.source_path, decision.label
        by_recording.setdefault(key, []).append(decision)
    kept, dropped, relabelled = [], 0, 0
    for clip in clips:
        r = clip.recording
        found = [
            d for d in by_recording.get((r.source, r.source_path, r.label), [])
            if not d.excerpt_start_s or abs(float(d.excerpt_start_s) - clip.start_s) <= NEAR_S
        ]  # fmt: skip
        if not found:
            kept.append(clip)
        elif found[0].decision == DROP:
            dropped += 1
        else:
            relabelled += 1
            kept.append(replace(clip, recording=replace(r, label=found[0].new_label)))
    return kept, dropped, relabelled
