"""Topics and payloads of MQTT, and what makes Home Assistant show them without being set up.

The format is that of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, of
sensor.mqtt and of binary_sensor.mqtt there.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from edge.sinks.mqtt.broker import OTHERS, slug

BIRTH = f"{OTHERS}/status"  # where Home Assistant says that it has started
QUIET = "quiet"  # the caption while nothing is heard: an empty one would delete what is retained
LONGEST = 255  # characters of a state


@dataclass(frozen=True)
class Message:
    """Something to publish."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(frozen=True)
class Topics:
    """Of one device that is listened to."""

    base: str  # "aac-stream/pi/kitchen"

    @property
    def event(self) -> str:
        """Each event as it begins, has better words, and ends: JSON as of --format events."""
        return f"{self.base}/event"

    @property
    def caption(self) -> str:
        """What sounds now, in words."""
        return f"{self.base}/caption"

    @property
    def attributes(self) -> str:
        """The event that has changed last, as JSON."""
        return f"{self.base}/attributes"

    @property
    def state(self) -> str:
        """Of the last window: "caption", "quiet" or "listening"."""
        return f"{self.base}/state"


def status_topic(prefix: str) -> str:
    """Whether the program runs: "online" or "offline"."""
    return f"{prefix}/status"


def topics_of(prefix: str, labels: Iterable[str]) -> dict[str, Topics]:
    """The topics of the devices called `labels`, by label; no two are the same."""
    found: dict[str, Topics] = {}
    used: set[str] = set()
    for label in labels:
        name, number = slug(label), 1
        while name in used:
            number += 1
            name = f"{slug(label)}_{number}"
        used.add(name)
        found[label] = Topics(f"{prefix}/{name}")
    return found


def discovery(prefix: str, label: str, topics: Topics) -> list[Message]:
    """The messages by which Home Assistant knows the device `label`: three entities of it."""
    host = socket.gethostname()
    node = f"{slug(host)}_{slug(topics.base)}"  # the same after each start
    about: dict[str, Any] = {
        "availability_topic": status_topic(prefix),
        "device": {
            "identifiers": [node],
            "name": f"{label} ({host})",
            "manufacturer": "aac-stream",
            "model": "sound captioner",
            "sw_version": version("aac-stream"),
        },
        "origin": {"name": "aac-stream", "sw_version": version("aac-stream")},
        "qos": 1,
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "caption"): {
            "name": "Caption",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.caption,
            "json_attributes_topic": topics.attributes,
        },
        ("binary_sensor", "sound"): {
            "name": "Sound",
            "device_class": "sound",
            "state_topic": topics.caption,
            "value_template": f"{{{{ 'OFF' if value == '{QUIET}' else 'ON' }}}}",
        },
        ("sensor", "state"): {
            "name": "State",
            "device_class": "enum",
            "options": ["listening", "quiet", "caption"],
            "entity_category": "diagnostic",
            "state_topic": topics.state,
        },
    }
    return [
        Message(
            f"{OTHERS}/{kind}/{node}/{entity}/config",
            json.dumps({**about, **own, "unique_id": f"{node}_{entity}"}),
            retain=True,
        )
        for (kind, entity), own in entities.items()
    ]
