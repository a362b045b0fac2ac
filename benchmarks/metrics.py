"""What is measured: every metric's name, unit, and whether less of it is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is shown."""

    title: str
    unit: str  # empty where it has none; "share" is of 1, shown in percent
    digits: int  # after the point
    better: str  # "less", "more", or empty where neither is


METRICS = {
    # One window: its audio to a caption.
    "features_ms": Metric("features", "ms", 2, "less"),
    "encoder_ms": Metric("encoder", "ms", 2, "less"),
    "token_ms": Metric("decoder, per token of all beams", "ms", 3, "less"),
    "whole_ms": Metric("whole window", "ms", 2, "less"),
    "reference_ms": Metric("a fixed NumPy computation", "ms", 2, "less"),
    # From the start of a process to its first caption.
    "cold_start_s": Metric("cold start", "s", 2, "less"),
    # The streaming loop over a recording, as fast as it goes, per window.
    "rtf": Metric("real-time factor", "", 4, "less"),
    "loop_ms": Metric("all of the loop", "ms", 2, "less"),
    "loop_features_ms": Metric("resampling and features", "ms", 2, "less"),
    "loop_encoder_ms": Metric("encoder", "ms", 2, "less"),
    "loop_decoder_ms": Metric("decoder", "ms", 2, "less"),
    "loop_search_ms": Metric("search", "ms", 2, "less"),
    "loop_rest_ms": Metric("rest", "ms", 2, "less"),
    "loop_tokens": Metric("tokens a window", "", 1, ""),
    # The streaming loop in real time.
    "cpu_share": Metric("CPU, of one core", "share", 2, "less"),
    "delay_ms": Metric("end of a window to its caption", "ms", 0, "less"),
    "sound_to_caption_s": Metric("start of a sound to its name", "s", 1, "less"),
    "sounds_named": Metric("sounds named", "share", 0, "more"),
    "skipped_share": Metric("skipped windows", "share", 1, "less"),
    # The caption track on scenes with known times.
    "sound_to_event_s": Metric("start of a sound to its event", "s", 1, "less"),
    "events_named": Metric("sounds that are events", "share", 1, "more"),
    "events_true": Metric("events that are true", "share", 1, "more"),
    "start_error_s": Metric("start, off by", "s", 2, "less"),
    "end_error_s": Metric("end, off by", "s", 2, "less"),
    "lines_per_minute": Metric("lines shown a minute", "", 1, "less"),
    "changes_per_minute": Metric("without the track, changes a minute", "", 1, ""),
    # A folder of recordings.
    "audio_s_per_s": Metric("audio captioned, times real time", "x", 0, "more"),
    # Resident memory.
    "peak_mb": Metric("peak memory", "MB", 0, "less"),
    "growth_mb": Metric("growth over 1,000 windows", "MB", 2, "less"),
    # On disk.
    "model_mb": Metric("model", "MB", 1, "less"),
    "install_mb": Metric("installed, with what it imports", "MB", 0, "less"),
    # What it says.
    "same_captions": Metric("captions as fp32 PyTorch's", "share", 1, "more"),
    "clips_named": Metric("single clips named", "share", 1, "more"),
    "event_recall": Metric("event recall", "share", 1, "more"),
    "event_precision": Metric("event precision", "share", 1, "more"),
    "similarity": Metric("sentence similarity", "", 3, "more"),
    "cider_d": Metric("CIDEr-D", "", 3, "more"),
    "meteor": Metric("METEOR", "", 3, "more"),
    "spice": Metric("SPICE", "", 3, "more"),
    "spider": Metric("SPIDEr", "", 3, "more"),
}

# Of what is said: those of a first look, and all.
SAID = ("same_captions", "clips_named", "event_recall", "event_precision")
QUALITY = (*SAID, "similarity", "cider_d", "meteor", "spice", "spider")


def shown(metric: str, value: float) -> str:
    """`value` with its unit."""
    m = METRICS[metric]
    if m.unit == "share":
        return f"{100.0 * value:.{m.digits}f} %"
    unit = f" {m.unit}" if m.unit else ""
    return f"{value:.{m.digits}f}{unit}"
