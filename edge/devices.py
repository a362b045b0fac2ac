"""What the setting `device` names: one device or several, each with what it is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

LABELLED = re.compile(r"(?P<label>\w[\w .-]{0,39})=(?P<what>.+)", re.DOTALL)  # no URL: it has "://"


@dataclass(frozen=True)
class Device:
    """One of the devices that are listened to."""

    label: str  # what captions call it
    what: str  # "mic", an index, part of a name, a file, a URL, or "-"


def devices_of(setting: str | list[str]) -> list[Device]:
    """The devices that `setting` names: "mic", or ["kitchen=3", "garden=rtsp://camera"].

    Raises: ConfigError if there is none, or two cannot be told apart.
    """
    found = [_device(one) for one in ([setting] if isinstance(setting, str) else setting)]
    if not found:
        raise ConfigError("device: names none; give at least one, as 'mic'")
    labels = [device.label for device in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"device: two are called {label!r}; name them, as 'kitchen=3'")
    if sum(device.what == "-" for device in found) > 1:
        raise ConfigError("device: standard input ('-') can be read once only")
    return found


def _device(text: str) -> Device:
    labelled = LABELLED.fullmatch(text)
    if labelled is None or Path(text).exists():
        return Device(without_secrets(text), text)
    return Device(labelled["label"].strip(), labelled["what"])


def without_secrets(text: str) -> str:
    """`text` with no user and password in its URLs: messages end in logs."""
    return re.sub(r"://[^/@\s]*@", "://", text)
