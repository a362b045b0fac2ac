"""The MQTT sink: publishes captions as messages that Home Assistant discovers by itself.

The thread of the sink worker makes and puts messages. The connection thread connects to the broker,
reconnects and runs the callbacks. `_condition` guards the state that both threads use.
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

ANSWER_S = 5.0  # Seconds that a broker may take to connect or to acknowledge a message.
ALIVE_S = 30  # Keep-alive time in seconds; after 1.5 times this the broker publishes "offline".
FIRST_WAIT_S = 1.0  # Seconds before the first attempt to reconnect; each attempt doubles the wait.
LONGEST_WAIT_S = 30.0  # Maximum number of seconds between two attempts.
STEADY_S = 10.0  # A connection longer than this many seconds resets the wait to `FIRST_WAIT_S`.
END_S = 0.3  # Seconds to publish "offline" at the end, and again for the thread to end.
LATE_S = 10.0  # Age in seconds from which a window no longer updates the current caption and state.
QOS = 1  # MQTT quality of service: at least once.

# Messages for the reasons of refusal (MQTT 3.1.1, section 3.2.2.3).
REFUSALS = {
    "Bad user name or password": "refuses the user name or the password",
    "Not authorized": "refuses the user name or the password",
}


class MqttSink:
    """Publishes results. A separate thread keeps the connection to the broker and restores it.

    Raises
    ------
    OutputError
        If paho-mqtt is not installed.
    ConfigError
        If the URL is not valid or the password file cannot be read.
    """

    def __init__(self, config: StreamConfig) -> None:
        assert config.mqtt is not None
        self._broker, self._password_file = broker_of(config.mqtt), config.mqtt_password_file
        password = password_of(self._password_file)
        self.name = self._broker.name
        self._topics: dict[str, Topics] = {}  # Topics by device label.
        self._status = status_topic(self._broker.prefix)
        self._active = ActiveEvents()
        self._states: dict[str, str] = {}  # Current payload of each caption and state topic.
        self._sent: dict[str, str] = {}  # Last payload sent to each of these topics.

        self._condition = threading.Condition()
        # The reason why nothing can be sent; None while connected.
        self._problem: str | None = "does not answer"
        self._tried = False  # True once the first attempt to connect has ended.
        self._pending_piece: list[Message] | None = None  # The piece last handed to the client.
        self._pending_ids: set[int] = set()  # Message ids of that piece.
        self._acknowledged: set[int] = set()  # Message ids that the broker has acknowledged.
        # The newest retained message of each topic, for a broker that has lost its messages.
        self._retained = {message.topic: message for message in self._add_devices(config)}
        self._cancelled = False
        self._closing = threading.Event()
        self._client = self._make_client()
        exposed = not self._broker.tls and not is_local(self._broker.host)
        if exposed and self._broker.user is not None and password is not None:
            log.warning("%s: the password crosses the network unencrypted; use mqtts://", self.name)
        self._thread = threading.Thread(target=self._keep_connected, name=self.name, daemon=True)
        self._thread.start()

    def configure(self, config: StreamConfig) -> list[Message] | None:
        """Return the messages that announce new devices, if there are any."""
        return self._add_devices(config) or None

    def _add_devices(self, config: StreamConfig) -> list[Message]:
        """Assign topics to each new device; return the messages that announce these devices."""
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

    def of(self, result: WindowResult) -> list[Message] | None:
        """Return the messages that `result` makes necessary, or None if there is none."""
        topics, messages = self._topics[result.device], []
        self._active.push(result)
        for event in result.events:
            record = json.dumps(result.record(event))
            messages += [Message(topics.event, record), Message(topics.attributes, record, True)]
        words = ", ".join(event.text for event in self._active.of(result.device))
        self._states[topics.caption] = words[:LONGEST] or QUIET
        if result.caption:
            self._states[topics.state] = result.caption.state
        if not _is_late(result):
            messages += self._changed_states()
        return messages or None

    def end(self) -> list[Message] | None:
        """Return the messages of states that have changed, or None if there is none."""
        return self._changed_states() or None  # The last results have closed all events.

    def _changed_states(self) -> list[Message]:
        """Return messages for all caption and state topics whose payload has changed."""
        sent, self._sent = self._sent, dict(self._states)
        return [
            Message(topic, payload, retain=True)
            for topic, payload in self._states.items()
            if sent.get(topic) != payload
        ]

    def put(self, piece: list[Message]) -> None:
        """Publish the messages of `piece` and wait until the broker acknowledges all of them.

        Raises
        ------
        OutputError
            If there is no connection, or the broker does not acknowledge within `ANSWER_S`.
        """
        deadline = time.monotonic() + ANSWER_S
        with self._condition:
            self._condition.wait_for(lambda: self._tried or self._cancelled, ANSWER_S)
            if self._problem is not None:
                raise OutputError(f"{self.name}: {self._problem}")
        if self._pending_piece is not piece:  # On a retry, the client already has the piece.
            with self._condition:
                self._acknowledged.clear()
                self._retained.update((m.topic, m) for m in piece if m.retain)
            self._pending_ids = {self._publish(message) for message in piece}
            self._pending_piece = piece
        with self._condition:
            self._condition.wait_for(
                lambda: (
                    self._pending_ids <= self._acknowledged
                    or self._problem is not None
                    or self._cancelled
                ),
                deadline - time.monotonic(),
            )
            if not self._pending_ids <= self._acknowledged:
                raise OutputError(f"{self.name}: {self._problem or 'does not answer'}")

    def cancel(self) -> None:
        """Stop waiting for the broker."""
        with self._condition:
            self._cancelled = True
            self._condition.notify_all()

    def close(self) -> None:
        """Publish "offline" and end the connection and its thread, waiting at most 2 * `END_S`."""
        with self._condition:
            if self._closing.is_set():
                return
            self._closing.set()
            connected = self._problem is None
        if connected:
            message_id = self._publish(Message(self._status, "offline", retain=True))
            with self._condition:
                self._condition.wait_for(lambda: message_id in self._acknowledged, END_S)
        self._client.disconnect()
        if connected:
            self._thread.join(END_S)

    # --- The connection.

    def _make_client(self) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise OutputError(
                "mqtt: the package paho-mqtt 2 is not installed; "
                "type: pip install 'aac-stream[mqtt]'"
            ) from None
        # The client id is unique, because a broker disconnects an older client with the same id.
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"aac-stream-{os.urandom(8).hex()}",
            reconnect_on_failure=False,  # `_keep_connected` does this and knows the error.
        )
        client.connect_timeout = ANSWER_S
        client.max_inflight_messages_set(0)  # No limit, so that messages go out in order.
        client.will_set(self._status, "offline", QOS, retain=True)
        if self._broker.tls:
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _keep_connected(self) -> None:
        """Connect, and reconnect after each failure, until the sink closes."""
        wait_s = FIRST_WAIT_S
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                if self._broker.user is not None:
                    # Read the password again, because the user may have corrected it.
                    password = password_of(self._password_file)
                    self._client.username_pw_set(self._broker.user, password)
                self._client.connect(self._broker.host, self._broker.port, ALIVE_S)
                if self._closing.is_set():  # `close` may have run before the connection.
                    self._client.disconnect()
                self._client.loop_forever()
            except ConfigError as error:
                self._set_problem(str(error))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._set_problem(f"cannot be reached ({reason})")
            except Exception as error:  # No data from the broker may end this thread.
                self._set_problem(f"cannot be understood ({error!r})")
            if time.monotonic() - began > STEADY_S:
                wait_s = FIRST_WAIT_S
            self._closing.wait(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _set_problem(self, problem: str | None) -> None:
        with self._condition:
            self._problem, self._tried = problem, True
            self._condition.notify_all()

    def _publish(self, message: Message) -> int:
        """Hand `message` to the client, which resends it if necessary; return its message id."""
        return self._client.publish(message.topic, message.payload, QOS, message.retain).mid

    def _publish_all(self) -> None:
        """Publish all retained messages, in case the broker or Home Assistant lacks them."""
        with self._condition:
            retained = list(self._retained.values())
        for message in [*retained, Message(self._status, "online", retain=True)]:
            self._publish(message)

    # --- Callbacks of the client, in the connection thread.

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if self._closing.is_set():
            # The broker may still hold "online" from an earlier connection.
            self._publish(Message(self._status, "offline", retain=True))
            client.disconnect()
        elif code.is_failure:
            self._set_problem(REFUSALS.get(str(code), f"refuses the connection ({code})"))
        else:
            client.subscribe([(BIRTH, QOS), (self._status, QOS)])
            self._publish_all()
            self._set_problem(None)

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, _code: Any, _more: Any
    ) -> None:
        if self._problem is None:
            self._set_problem("the connection is lost")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        # The sink must not react to its own messages. On its status topic it reacts only to
        # "offline", which it does not send while it runs. `edge.sinks.mqtt.broker` rejects a prefix
        # with which its own "online" would look like Home Assistant's.
        if message.topic == BIRTH and message.payload == b"online":
            self._publish_all()
        is_offline = message.topic == self._status and message.payload == b"offline"
        if is_offline and not self._closing.is_set():
            # An older connection, of this program or a similar one, ended after this one began.
            self._publish(Message(self._status, "online", retain=True))

    def _on_publish(self, _client: Client, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        with self._condition:
            self._acknowledged.add(mid)
            self._condition.notify_all()


def _is_late(result: WindowResult) -> bool:
    """Return True if `result` is live and older than `LATE_S`."""
    if result.began is None:
        return False
    ends_s = [one.end_s for one in (result.caption, *result.events) if one is not None]
    return time.time() - result.began.timestamp() - max(ends_s, default=0.0) > LATE_S
