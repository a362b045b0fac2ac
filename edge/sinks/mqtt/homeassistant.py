"""MQTT topics, and discovery messages that let Home Assistant show them without configuration.

The format is defined at https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and on the
pages for sensor.mqtt and binary_sensor.mqtt of the same site.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from edge.sinks.mqtt.broker import HA_PREFIX, slug

BIRTH = f"{HA_PREFIX}/status"  # Home Assistant publishes "online" here when it starts.
QUIET = "quiet"  # The caption in silence; an empty payload would delete the retained message.
LONGEST = 255  # Maximum length of a state in Home Assistant, in characters.


@dataclass(frozen=True)
class Message:
    """An MQTT message to publish."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(frozen=True)
class Topics:
    """The topics of one device."""

    base: str  # Common prefix of the topics, such as "aac-stream/pi/kitchen".

    @property
    def event(self) -> str:
        """Return the topic of events: JSON when one opens, is reworded or closes.

        The JSON is the same as with `--format events`.
        """
        return f"{self.base}/event"

    @property
    def caption(self) -> str:
        """Return the topic of the current caption: the texts of all active events."""
        return f"{self.base}/caption"

    @property
    def attributes(self) -> str:
        """Return the topic of the event that changed last, as JSON."""
        return f"{self.base}/attributes"

    @property
    def state(self) -> str:
        """Return the topic of the last window's state: "caption", "quiet" or "listening"."""
        return f"{self.base}/state"


def status_topic(prefix: str) -> str:
    """Return the topic that says if the program runs: "online" or "offline"."""
    return f"{prefix}/status"


def topics_of(prefix: str, labels: Iterable[str]) -> dict[str, Topics]:
    """Return the topics of each device by its label; no two devices share a topic."""
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
    """Return the discovery messages of a device, one for each of its three entities.

    Parameters
    ----------
    prefix
        The common prefix of all topics.
    label
        Label of the device.
    topics
        Topics of the device.
    """
    host = socket.gethostname()
    node = f"{slug(host)}_{slug(topics.base)}"  # Stays the same across restarts.
    common: dict[str, Any] = {
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
            f"{HA_PREFIX}/{kind}/{node}/{entity}/config",
            json.dumps({**common, **specific, "unique_id": f"{node}_{entity}"}),
            retain=True,
        )
        for (kind, entity), specific in entities.items()
    ]
