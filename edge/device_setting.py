"""Parse the setting `device` into devices and the labels that captions show."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.urls import is_url, place_of, without_secrets

LONGEST_LABEL = 64  # Maximum length of a label in characters.
JOINERS = "\u200c\u200d"  # Format characters (Unicode Cf) that some scripts and emoji need.
PATH_STARTS = ("/", "./", "../", "~")  # A text that starts so is a path, even if it contains "=".
LABEL_RULE = (
    f"a label holds 1 to {LONGEST_LABEL} characters, no '=', no ':/' and no control characters"
)


@dataclass(frozen=True)
class Device:
    """An audio source and its label."""

    label: str  # The name of the device in captions.
    what: str  # "mic", an index, part of a name, a file, a URL, or "-".


def devices_of(setting: str | list[str]) -> list[Device]:
    """Return the devices that `setting` names, in order.

    A URL without a label gets its host as label, with a number if that label is in use.

    Parameters
    ----------
    setting
        One device, as "mic", or several, as ["kitchen=3", "garden=rtsp://camera"].

    Raises
    ------
    ConfigError
        There is no device, a label or URL cannot be used, two devices have the same label, or
        standard input is given twice.
    """
    pairs = [_split_label(text) for text in ([setting] if isinstance(setting, str) else setting)]
    if not pairs:
        raise ConfigError("device: names none; give at least one, as 'mic'")
    used = [label or printable(what) for label, what in pairs if label or not is_url(what)]
    found: list[Device] = []
    for label, what in pairs:
        if not label and is_url(what):
            if any(device.what == what for device in found):
                raise ConfigError(f"device: {without_secrets(what)} is given twice; name them")
            label = _unused(_label_of_url(what), used)
            used.append(label)
        found.append(Device(label or printable(what), what))
    labels = [device.label for device in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"device: two are called {label!r}; name them, as 'kitchen=3'")
    if sum(device.what == "-" for device in found) > 1:
        raise ConfigError("device: standard input ('-') can be read once only")
    return found


def printable(text: str) -> str:
    """Return `text` as one line that every Unicode encoding can hold, without secrets.

    A file name may contain line breaks, and bytes that are not UTF-8.
    """
    return "".join("\ufffd" if _unsafe(c) else c for c in without_secrets(text))


def _split_label(text: str) -> tuple[str, str]:
    """Split `text` into the label ("" if there is none) and the device.

    Raises
    ------
    ConfigError
        The label or the device cannot be used.
    """
    label, equals, what = text.partition("=")
    if not equals or ":/" in label or text.startswith(PATH_STARTS) or _is_file(text):
        label, what = "", text
    elif problem := _violated_rule(label.strip()):
        raise ConfigError(f"device: {printable(text)!r}: no such file, nor a label ({problem})")
    elif not what.strip():
        raise ConfigError(f"device: {printable(text)!r}: names no device after '='")
    if is_url(what.strip()):
        what = what.strip()
        _check_url(what)
    return label.strip(), what


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    # The path is too long, names an unknown user, or contains a NUL.
    except (OSError, RuntimeError, ValueError):
        return False


def _violated_rule(label: str) -> str:
    """Return the rule that `label` violates, or ""."""
    is_valid = 0 < len(label) <= LONGEST_LABEL and not any(_unsafe(c) for c in label)
    return "" if is_valid else LABEL_RULE


def _unsafe(character: str) -> bool:
    """Return True for control, format, surrogate, and line or paragraph separator characters."""
    kind = unicodedata.category(character)
    return (kind in ("Cc", "Cf", "Cs", "Zl", "Zp")) and character not in JOINERS


def _check_url(url: str) -> None:
    """Raise ConfigError if `url` contains a space or a control character.

    No server accepts such a URL. A path after `file://` may contain them.
    """
    if any(c.isspace() or _unsafe(c) for c in url) and not url.lower().startswith("file://"):
        # The end of the URL is unknown, so only its scheme may be shown.
        scheme = url.partition("://")[0]
        raise ConfigError(
            f"device: a URL with {scheme}:// holds a space or a control character; write a space "
            "as %20"
        )


def _label_of_url(url: str) -> str:
    place = place_of(url)
    if place.scheme.lower() == "file":
        return printable(url)
    return place.host.strip("[]") or place.scheme


def _unused(label: str, used: list[str]) -> str:
    """Return `label`, followed by a number if it is one of `used`."""
    candidate, number = label, 1
    while candidate in used:
        number += 1
        candidate = f"{label} {number}"
    return candidate


__all__ = ["Device", "devices_of", "is_url", "printable", "without_secrets"]
