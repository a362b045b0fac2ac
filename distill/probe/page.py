"""The probe's page: Markdown tables by split, group and label, and the reliability."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from distill.probe.run import SPLITS, Examined
from distill.probe.scores import SURE, Reliability, Share, reliability, score


def page(examined: Examined) -> str:
    """Return the page of a probe."""
    data = examined.data
    labels = {data.clips[i].label for i in examined.trained}
    lines = [
        "# What is the labelled audio worth?",
        "",
        f"A probe (one hidden layer on the encoder's embedding) was trained on "
        f"{len(examined.trained)} clips of {len(labels)} labels. It names windows of 5 s. "
        "Intervals (95 %, Wilson) count clips, as the windows of one clip are not independent. "
        "*Named*: the likeliest label is right, or the likeliest group is. Labels without a "
        "training clip count as wrong; clips that are labelled with a group alone count as *named* "
        "only.",
        "",
        "## By split",
        "",
        "| split | clips | windows | labels | of them trained | top-1 | top-3 | named |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for split in _splits(examined):
        own = data.of_split(split)
        result = score(examined.guesses, own)
        names = {data.clips[i].label for i in own}
        lines.append(
            f"| {split} | {result.clips} | {result.windows} | {len(names)} | "
            f"{len(names & labels)} | {percent(result.top1)} | {percent(result.top3)} | "
            f"{percent(result.named)} |"
        )
    for split in _splits(examined):
        lines += ["", f"## Reliability on {split}", ""]
        lines += _reliability(reliability(examined.guesses, data.of_split(split)))
    lines += _parts(examined, "group", lambda i: data.clips[i].group)
    lines += _parts(examined, "label", lambda i: data.clips[i].label)
    return "\n".join(lines) + "\n"


def percent(share: Share) -> str:
    """Return a share with its interval, such as "51 % (47 to 55)"."""
    return f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"


def _splits(examined: Examined) -> list[str]:
    return [split for split in SPLITS if examined.data.of_split(split)]


def _reliability(found: Reliability) -> list[str]:
    lines = ["| confidence | windows | mean confidence | right |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {100 * b.low:.0f} to {100 * b.high:.0f} % | {b.windows} | {100 * b.confidence:.0f} % | "
        f"{100 * b.right:.0f} % |"
        for b in found.bins
    ]
    lines += [
        "",
        f"Expected calibration error {found.error:.3f}. {100 * found.sure:.0f} % of the windows "
        f"are above {100 * SURE:.0f} %; of these, {100 * found.sure_right:.0f} % have the right "
        f"label, {100 * found.sure_named:.0f} % the right label or group.",
    ]
    return lines


def _parts(examined: Examined, what: str, name_of: Callable[[int], str]) -> list[str]:
    """Return a table with a row for each label or group of each split."""
    data = examined.data
    trained = Counter(name_of(i) for i in examined.trained)
    lines = [
        "",
        f"## By {what}",
        "",
        f"| {what} | split | training clips | clips | top-1 | top-3 | named |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = []
    for split in _splits(examined):
        members: dict[str, list[int]] = defaultdict(list)
        for i in data.of_split(split):
            members[name_of(i)].append(i)
        for name, own in members.items():
            result = score(examined.guesses, own)
            line = (
                f"| {name} | {split} | {trained[name]} | {result.clips} | "
                f"{percent(result.top1)} | {percent(result.top3)} | {percent(result.named)} |"
            )
            rows.append((name, SPLITS.index(split), line))
    return lines + [line for *_, line in sorted(rows)]
