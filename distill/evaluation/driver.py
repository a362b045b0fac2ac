"""`aac-distill evaluate`: bundles, and their teacher, on the same items; a page of tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from tqdm import tqdm

from distill.captions.caption_parser import Reader
from distill.captions.writer import load_wordings
from distill.errors import CorpusError
from distill.evaluation.eval_set import Item, items
from distill.evaluation.evaluate import RULE, Answer, Figure, answers, figures, reasons_missing
from distill.evaluation.inference import Told, by_bundle, by_teacher
from distill.evaluation.metrics import match_events
from distill.models.manifest_file import record_metrics
from distill.teachers.audioset_trm import AudioSetTrm
from distill.teachers.tagger import load_tagger
from distill.training.shards import TEACHER
from edge.config import StreamConfig
from edge.inference.bundle import default_bundle
from edge.inference.captioner import load_captioner


def examine(
    bundles: list[Path],
    corpus: Path,
    tagger: Path | None,
    data: Path | None,
    scenes: int,
    record: bool,
    verbose: bool,
) -> str:
    """Evaluate `bundles` (the one that ships, if none) and, if it is given, the teacher.

    Returns: Markdown. Raises: CorpusError, BundleError.
    """
    if (tagger is None) != (data is None):
        raise CorpusError("--teacher and --data: evaluating the teacher needs both")
    wordings = load_wordings()
    reader = Reader(wordings)
    found = items(corpus, wordings, scenes)
    config = StreamConfig(fast=True)
    all_answers: dict[str, list[Answer]] = {}
    if tagger is not None and data is not None:
        teacher = AudioSetTrm.load(data / TEACHER, load_tagger(tagger))

        def teach(item: Item) -> Told:
            return by_teacher(teacher, item.audio, wordings.quiet)

        all_answers["teacher"] = answers(tqdm(found, desc="teacher", leave=False), teach, reader)
    for folder in bundles or [default_bundle()]:
        captioner = load_captioner(folder)

        def listen(item: Item) -> Told:
            return by_bundle(captioner, item.audio, config)  # noqa: B023 - called before the next

        name = captioner.bundle.precision
        name = name if name not in all_answers else f"{folder.name} {name}"
        all_answers[name] = answers(tqdm(found, desc=name, leave=False), listen, reader)
        if record:
            measured = figures(all_answers[name])
            record_metrics(folder, {key: round(f.value, 4) for key, f in measured.items()})
    if verbose:
        _print_all(all_answers)
    return page(all_answers)


def page(all_answers: dict[str, list[Answer]]) -> str:
    """The rule, the table of measures, and the table of labels."""
    parts = [RULE, summary(all_answers)]
    if same := agreement(all_answers):
        parts.append(same)
    missing = reasons_missing(next(iter(all_answers.values())))
    parts += [f"{name}: not measured ({reason})." for name, reason in missing.items()]
    return "\n\n".join([*parts, labels(all_answers)])


def summary(all_answers: dict[str, list[Answer]]) -> str:
    measured = {name: figures(found) for name, found in all_answers.items()}
    first = next(iter(measured.values()))
    lines = [
        f"| measure | items | {' | '.join(measured)} |",
        f"| --- | ---: | {'---: | ' * len(measured)}".rstrip(),
    ]
    for measure, figure in first.items():
        cells = [
            _cell(of[measure], figure.count) if measure in of else "" for of in measured.values()
        ]
        lines.append(f"| {measure} | {figure.count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: Figure, usual: int) -> str:
    """`figure`, and on how many items, where those are not the `usual` ones of its line."""
    if not figure.percent:
        interval = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low < figure.high else ""
        return f"{figure.value:.3f}{interval}"
    count = f" of {figure.count}" if figure.count != usual else ""
    return f"{figure.value:.1%}{count} ({figure.low:.0%} to {figure.high:.0%})"


def agreement(all_answers: dict[str, list[Answer]]) -> str:
    """How often int8 says the very words that fp32 says."""
    if not {"fp32", "int8"} <= all_answers.keys():
        return ""
    pairs = list(zip(all_answers["fp32"], all_answers["int8"], strict=True))
    same = sum(a.told.text == b.told.text for a, b in pairs)
    return f"int8 says word for word what fp32 says of {same / len(pairs):.1%} of the items."


def labels(all_answers: dict[str, list[Answer]]) -> str:
    """For each label, how many of its single clips are named, and what is said of the others."""
    named: dict[str, Counter[str]] = defaultdict(Counter)
    clips: Counter[str] = Counter()
    instead: dict[str, Counter[str]] = defaultdict(Counter)
    last = list(all_answers)[-1]
    for name, found in all_answers.items():
        for answer in found:
            if answer.item.kind != "clip":
                continue
            label = answer.item.labels[0]
            hit = match_events(answer.item.labels, answer.meant).misses == 0
            named[label][name] += hit
            if name == last:
                clips[label] += 1
                if not hit:
                    instead[label][answer.told.text or "(nothing)"] += 1
    lines = [
        f"| label | clips | {' | '.join(all_answers)} | what {last} says instead, most often |",
        f"| --- | ---: | {'---: | ' * len(all_answers)}--- |",
    ]
    for label in sorted(named):
        counts = " | ".join(str(named[label][name]) for name in all_answers)
        said = "".join(text for text, _ in instead[label].most_common(1))
        lines.append(f"| {label} | {clips[label]} | {counts} | {said} |")
    return "\n".join(lines)


def _print_all(all_answers: dict[str, list[Answer]]) -> None:
    for name, found in all_answers.items():
        for a in found:
            truth = ", ".join(a.item.labels) or "nothing"
            print(f"{name}\t{a.item.kind}\t{truth}\t{a.told.confidence:.2f}\t{a.told.text}")
