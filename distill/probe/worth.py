"""The table of what each collection of sources adds, as a section of a Markdown file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill.errors import CorpusError
from distill.probe.page import percent
from distill.probe.run import Data, examine, train_on
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
    """Train a probe on the training clips of more and more collections.

    The collections come in the order of their first clip in the corpus.

    Parameters
    ----------
    before
        An older corpus, for the first row; its probe is examined on `data`, too.
    """
    rows = []
    dev, test = data.of_split("dev"), data.of_split("test")
    if before is not None:
        chosen = before.of_split("train")
        guesses = guess(train_on(before, chosen), data.windows, data.clips)
        rows.append(
            Row("the corpus before", len(chosen), len({before.clips[i].label for i in chosen}),
                score(guesses, dev), score(guesses, test), reliability(guesses, test))
        )  # fmt: skip
    train = data.of_split("train")
    collections = list(dict.fromkeys(data.clips[i].collection for i in train))
    for number, name in enumerate(collections, 1):
        some = collections[:number]
        chosen = [i for i in train if data.clips[i].collection in some]
        found = examine(data, chosen).guesses
        rows.append(
            Row(("+ " if number > 1 else "") + (name or "all"), len(chosen),
                len({data.clips[i].label for i in chosen}),
                score(found, dev), score(found, test), reliability(found, test))
        )  # fmt: skip
    return rows


def section(rows: list[Row]) -> str:
    """Return the table as a section of Markdown."""
    lines = [
        HEADING,
        "",
        "A probe (one hidden layer on the teacher's embedding) is trained on the clips of each row, "
        "which adds a collection of sources to the row above, and names windows of 5 s of whole "
        "sources that it was not trained on. *Named*: the likeliest label or the likeliest group is "
        "right. *Sure*: the share of windows with a confidence above 50 %, and how many of these are "
        "right. ECE: expected calibration error. Intervals (95 %) count clips. "
        "`aac-distill probe` makes this section.",
        "",
        "| training data | clips | labels | dev top-1 | test top-1 | test top-3 | test named | sure, "
        "right | ECE |",
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
