"""Captions to an MQTT broker, as messages that Home Assistant understands by itself.

The thread of the sink's worker makes and puts messages; a thread of the connection connects, calls
back and connects again. `_news` guards what both use.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from edge.config import StreamConfig
from edge.device_setting import devices_of
from edge.errors import ConfigError, OutputError
from edge.sinks.mqtt.broker import broker_of, password_of
from edge.sinks.mqtt.homeassistant import (
    BIRTH,
    LONGEST,
    QUIET,
    Message,
    Topics,
    discovery,
    status_topic,
    topics_of,
)
from edge.streaming.active_events import ActiveEvents
from edge.streaming.results import WindowResult
from edge.web.address import is_local

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

log = logging.getLogger(__name__)

ANSWER_S = 5.0  # that a broker may take for a connection or to acknowledge a message
ALIVE_S = 30  # from one sign of life to the next; after 1.5 of these the broker says "offline"
FIRST_WAIT_S = 1.0  # before another attempt to connect, then twice as long each time
LONGEST_WAIT_S = 30.0
STEADY_S = 10.0  # a connection that held so long is tried again at once
END_S = 0.3  # to say goodbye
LATE_S = 10.0  # A window that is older does not tell what sounds now: it waited for the broker.
QOS = 1  # at least once

REFUSALS = {  # MQTT 3.1.1, 3.2.2.3
    "Bad user name or password": "refuses the user name or the password",
    "Not authorized": "refuses the user name or the password",
}


class MqttSink:
    """Publishes what is heard. A thread of its own keeps the connection, and restores it."""

    def __init__(self, config: StreamConfig) -> None:
        """Raises: OutputError if paho-mqtt is missing, ConfigError if a password cannot be read."""
        assert config.mqtt is not None
        self._broker, self._password_file = broker_of(config.mqtt), config.mqtt_password_file
        password = password_of(self._password_file)
        self.name = self._broker.name
        self._topics: dict[str, Topics] = {}  # by device
        self._status = status_topic(self._broker.prefix)
        self._ongoing = ActiveEvents()
        self._now: dict[str, str] = {}  # What each topic of a state should say,
        self._told: dict[str, str] = {}  # and what it was last given.

        self._news = threading.Condition()
        self._problem: str | None = "does not answer"  # why nothing can be sent; None if it can
        self._tried = False  # whether that is known
        self._piece: list[Message] | None = None  # that was handed to the client
        self._mids: set[int] = set()  # of its messages
        self._acknowledged: set[int] = set()
        # The newest of each topic that the broker is to retain, for one that has forgotten them.
        self._retained = {message.topic: message for message in self._add_devices(config)}
        self._cancelled = False
        self._closing = threading.Event()
        self._client = self._make_client()
        exposed = not self._broker.tls and not is_local(self._broker.host)
        if exposed and self._broker.user is not None and password is not None:
            log.warning("%s: the password crosses the network unencrypted; use mqtts://", self.name)
        self._thread = threading.Thread(target=self._connected, name=self.name, daemon=True)
        self._thread.start()

    def configure(self, config: StreamConfig) -> list[Message] | None:
        """Announce devices that are new."""
        return self._add_devices(config) or None

    def _add_devices(self, config: StreamConfig) -> list[Message]:
        """Give each new device its topics; return what makes it known."""
        labels = [device.label for device in devices_of(config.device)]
        found = topics_of(self._broker.prefix, labels)
        new = {label: topics for label, topics in found.items() if label not in self._topics}
        self._topics = {**self._topics, **found}
        return [
            message
            for label, topics in new.items()
            for message in (
                *discovery(self._broker.prefix, label, topics),
                Message(topics.caption, QUIET, retain=True),
                Message(topics.state, "listening", retain=True),
            )
        ]

    def of(self, heard: WindowResult) -> list[Message] | None:
        topics, messages = self._topics[heard.device], []
        self._ongoing.push(heard)
        for event in heard.events:
            record = json.dumps(heard.record(event))
            messages += [Message(topics.event, record), Message(topics.attributes, record, True)]
        words = ", ".join(event.text for event in self._ongoing.of(heard.device))
        self._now[topics.caption] = words[:LONGEST] or QUIET
        if heard.caption:
            self._now[topics.state] = heard.caption.state
        if not _is_late(heard):
            messages += self._changed()
        return messages or None

    def end(self) -> list[Message] | None:
        return self._changed() or None  # Events that went on were closed by what came last.

    def _changed(self) -> list[Message]:
        """What sounds now, of all devices, where the broker was not told so yet."""
        told, self._told = self._told, dict(self._now)
        return [
            Message(topic, payload, retain=True)
            for topic, payload in self._now.items()
            if told.get(topic) != payload
        ]

    def put(self, piece: list[Message]) -> None:
        until = time.monotonic() + ANSWER_S
        with self._news:
            self._news.wait_for(lambda: self._tried or self._cancelled, ANSWER_S)
            if self._problem is not None:
                raise OutputError(f"{self.name}: {self._problem}")
        if self._piece is not piece:  # else the client has it, and sends it once it can
            with self._news:
                self._acknowledged.clear()
                self._retained.update((m.topic, m) for m in piece if m.retain)
            self._mids = {self._publish(message) for message in piece}
            self._piece = piece
        with self._news:
            self._news.wait_for(
                lambda: (
                    self._mids <= self._acknowledged or self._problem is not None or self._cancelled
                ),
                until - time.monotonic(),
            )
            if not self._mids <= self._acknowledged:
                raise OutputError(f"{self.name}: {self._problem or 'does not answer'}")

    def cancel(self) -> None:
        """Wait for the broker no more."""
        with self._news:
            self._cancelled = True
            self._news.notify_all()

    def close(self) -> None:
        """Say goodbye, and end the connection with its thread, as far as the broker lets it."""
        with self._news:
            if self._closing.is_set():
                return
            self._closing.set()
            connected = self._problem is None
        if connected:
            mid = self._publish(Message(self._status, "offline", retain=True))
            with self._news:
                self._news.wait_for(lambda: mid in self._acknowledged, END_S)
        self._client.disconnect()
        if connected:
            self._thread.join(END_S)

    # --- the connection

    def _make_client(self) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise OutputError(
                "mqtt: the package paho-mqtt 2 is not installed; "
                "type: pip install 'aac-stream[mqtt]'"
            ) from None
        # A name that no other has: a broker ends the connection of who has the same.
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"aac-stream-{os.urandom(8).hex()}",
            reconnect_on_failure=False,  # by the thread here, which knows why it failed
        )
        client.connect_timeout = ANSWER_S
        client.max_inflight_messages_set(0)  # no limit: what must be in order goes out at once
        client.will_set(self._status, "offline", QOS, retain=True)
        if self._broker.tls:
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _connected(self) -> None:
        """Connect, again and again, until the end."""
        wait_s = FIRST_WAIT_S
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                if self._broker.user is not None:
                    # Read anew, for it may have been mended meanwhile.
                    password = password_of(self._password_file)
                    self._client.username_pw_set(self._broker.user, password)
                self._client.connect(self._broker.host, self._broker.port, ALIVE_S)
                if self._closing.is_set():  # The goodbye may have come too early for it.
                    self._client.disconnect()
                self._client.loop_forever()
            except ConfigError as error:
                self._is(str(error))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._is(f"cannot be reached ({reason})")
            except Exception as error:  # Whatever the broker sends, the thread goes on.
                self._is(f"cannot be understood ({error!r})")
            if time.monotonic() - began > STEADY_S:
                wait_s = FIRST_WAIT_S
            self._closing.wait(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _is(self, problem: str | None) -> None:
        with self._news:
            self._problem, self._tried = problem, True
            self._news.notify_all()

    def _publish(self, message: Message) -> int:
        """Hand it to the client, which sends it again if it must; returns its number."""
        return self._client.publish(message.topic, message.payload, QOS, message.retain).mid

    def _tell_all(self) -> None:
        """All that the broker, or Home Assistant, may not know yet or may have forgotten."""
        with self._news:
            retained = list(self._retained.values())
        for message in [*retained, Message(self._status, "online", retain=True)]:
            self._publish(message)

    # --- called by the client, in the connection's thread

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if self._closing.is_set():
            # The broker may still say "online", of an earlier connection.
            self._publish(Message(self._status, "offline", retain=True))
            client.disconnect()
        elif code.is_failure:
            self._is(REFUSALS.get(str(code), f"refuses the connection ({code})"))
        else:
            client.subscribe([(BIRTH, QOS), (self._status, QOS)])
            self._tell_all()
            self._is(None)

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, _code: Any, _more: Any
    ) -> None:
        if self._problem is None:
            self._is("the connection is lost")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        # Never react to a message of one's own: only "offline" of others is answered, and no
        # prefix lets one's "online" be that of Home Assistant (see `edge.sinks.mqtt.broker`).
        if message.topic == BIRTH and message.payload == b"online":
            self._tell_all()
        gone = message.topic == self._status and message.payload == b"offline"
        if gone and not self._closing.is_set():
            # An earlier connection, of this program or of one like it, ended after this had begun.
            self._publish(Message(self._status, "online", retain=True))

    def _on_publish(self, _client: Client, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        with self._news:
            self._acknowledged.add(mid)
            self._news.notify_all()


def _is_late(heard: WindowResult) -> bool:
    """Return True if `heard` is live and has waited for long."""
    if heard.began is None:
        return False
    ends_s = [one.end_s for one in (heard.caption, *heard.events) if one is not None]
    return time.time() - heard.began.timestamp() - max(ends_s, default=0.0) > LATE_S
