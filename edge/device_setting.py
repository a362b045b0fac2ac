"""The devices that the setting `device` names, each with the label that captions give it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.urls import is_url, place_of, without_secrets

LONGEST_LABEL = 64  # characters
JOINERS = "\u200c\u200d"  # format characters that some scripts and emoji need
PATH_STARTS = ("/", "./", "../", "~")  # of a path that holds a "=", whether it is there or not
LABEL_RULE = (
    f"a label holds 1 to {LONGEST_LABEL} characters, no '=', no ':/' and no control characters"
)


@dataclass(frozen=True)
class Device:
    """One of the devices that are listened to."""

    label: str  # what captions call it
    what: str  # "mic", an index, part of a name, a file, a URL, or "-"


def devices_of(setting: str | list[str]) -> list[Device]:
    """Return the devices that `setting` names: "mic", or ["kitchen=3", "garden=rtsp://camera"].

    A URL without a label is called by its host, and a number if that label is in use.

    Raises: ConfigError if there is none, a label or URL cannot be used, or two devices have the
    same label.
    """
    pairs = [_parted(one) for one in ([setting] if isinstance(setting, str) else setting)]
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
    """Return `text` as one line that any encoding of Unicode takes, and without secrets.

    A file name may hold line breaks, and bytes that are not UTF-8.
    """
    return "".join("\ufffd" if _unsafe(c) else c for c in without_secrets(text))


def _parted(text: str) -> tuple[str, str]:
    """Return label, "" if none, and device.

    Raises: ConfigError if one of them cannot be used.
    """
    label, equals, what = text.partition("=")
    if not equals or ":/" in label or text.startswith(PATH_STARTS) or _is_file(text):
        label, what = "", text
    elif problem := _problem(label.strip()):
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
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a zero byte
        return False


def _problem(label: str) -> str:
    """Return what is wrong with `label`, or ""."""
    right = 0 < len(label) <= LONGEST_LABEL and not any(_unsafe(c) for c in label)
    return "" if right else LABEL_RULE


def _unsafe(character: str) -> bool:
    """Return True for control, format, surrogate and line separating characters."""
    kind = unicodedata.category(character)
    return (kind in ("Cc", "Cf", "Cs", "Zl", "Zp")) and character not in JOINERS


def _check_url(url: str) -> None:
    """Raises: ConfigError if `url` holds spaces, which no server takes."""
    if any(c.isspace() or _unsafe(c) for c in url) and not url.lower().startswith("file://"):
        # Of such a URL it is not known where it ends, so none of it may be shown.
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
    """Return `label`, with a number if it is one of `used`."""
    found, number = label, 1
    while found in used:
        number += 1
        found = f"{label} {number}"
    return found


__all__ = ["Device", "devices_of", "is_url", "printable", "without_secrets"]
