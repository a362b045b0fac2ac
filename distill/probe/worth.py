"""The table of what each collection of sources adds, as a section of a Markdown file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from distill.errors import CorpusError
from distill.probe.page import percent
from distill.probe.run import Data, train_on
from distill.probe.scores import Reliability, Score, guess, reliability, score

HEADING = "## What is the data worth?"


@dataclass(frozen=True)
class Row:
    """A probe that was trained on some of the data."""

    name: str
    clips: int  # that it was trained on
    labels: int
    dev: Score
    test: Score
    reliability: Reliability  # on test


def worth(data: Data, before: Data | None) -> list[Row]:
    """Train a probe on the training clips of more and more sources.

    Parameters
    ----------
    before
        An older corpus. The first row is a probe that was trained on it, the second one a probe
        that was trained on its sources as they are in `data`. The collections follow in the order
        of their first clip.
    """
    rows = []
    train, dev, test = (data.of_split(split) for split in ("train", "dev", "test"))

    def add(name: str, trained: Data, chosen: list[int]) -> None:
        found = guess(train_on(trained, chosen), data.windows, data.clips, data.ontology)
        labels = len({trained.clips[i].label for i in chosen})
        rows.append(
            Row(name, len(chosen), labels, score(found, dev), score(found, test),
                reliability(found, test))
        )  # fmt: skip

    known: set[str] = set()
    if before is not None:
        known = {clip.source for clip in before.clips}
        add("the corpus before", before, before.of_split("train"))
    stages = defaultdict(list)
    for i in train:
        clip = data.clips[i]
        stages["the same sources now" if clip.source in known else clip.collection].append(i)
    order = sorted(stages, key=lambda name: name != "the same sources now")
    chosen: list[int] = []
    for number, name in enumerate(order):
        chosen = chosen + stages[name]
        add(("+ " if number else "") + (name or "other sources"), data, chosen)
    return rows


def section(rows: list[Row]) -> str:
    """Return the table as a section of Markdown."""
    lines = [
        HEADING,
        "",
        "A probe (one hidden layer on the teacher's embedding) is trained on the clips of each "
        "row, which adds a collection of sources to the row above. It names windows of 5 s of "
        "whole sources that it was not trained on. *Named*: the likeliest label or the likeliest "
        "group is right. *Sure*: the share of windows with a confidence above 50 %, and how many "
        "of these are right. ECE: expected calibration error. Intervals (95 %) count clips. "
        "`aac-distill probe` makes this section.",
        "",
        "| training data | clips | labels | dev top-1 | test top-1 | test top-3 | test named | "
        "sure, right | ECE |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        found = row.reliability
        lines.append(
            f"| {row.name} | {row.clips} | {row.labels} | {percent(row.dev.top1)} | "
            f"{percent(row.test.top1)} | {percent(row.test.top3)} | {percent(row.test.named)} | "
            f"{100 * found.sure:.0f} %, {100 * found.sure_right:.0f} % | {found.error:.2f} |"
        )
    return "\n".join(lines) + "\n"


def write_section(path: Path, text: str) -> None:
    """Put the section into the Markdown file at `path`, in place of an earlier one or at the end.

    Raises
    ------
    CorpusError
        If the file cannot be read or written.
    """
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        start = old.find(HEADING)
        if start < 0:
            new = (old.rstrip("\n") + "\n\n" if old else "") + text
        else:
            stop = old.find("\n## ", start)
            new = old[:start] + text + ("" if stop < 0 else old[stop:])
        path.write_text(new, encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be written ({error.strerror})") from None
