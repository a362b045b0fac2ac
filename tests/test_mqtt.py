"""Captions on a real MQTT broker, and what Home Assistant would make of them."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.broker import PASSWORD, Broker, broker_of, password_of
from edge.config import StreamConfig
from edge.errors import ConfigError
from edge.sinks.homeassistant import discovery, slug, topics_of
from tests import mosquitto
from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line, times
from tests.mosquitto import MOSQUITTO, broker, listener
from tests.running import Running, running, until

needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="no MQTT broker; type: sudo apt-get install mosquitto"
)
OFTEN = ("--window-s", "1", "--hop-s", "0.25")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    with broker(tmp_path) as one:
        yield one


# --- the setting


@pytest.mark.parametrize(
    ("url", "is_"),
    [
        ("mqtt://broker", Broker("broker", 1883, False, None, "aac-stream")),
        ("mqtts://me@broker", Broker("broker", 8883, True, "me", "aac-stream")),
        ("mqtt://a%40b@[::1]:99/home/pi/", Broker("::1", 99, False, "a@b", "home/pi")),
    ],
)
def test_a_broker_has_a_url(url: str, is_: Broker) -> None:
    assert broker_of(url) == is_


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("broker", "'broker' is not a broker, as mqtt://user@host:1883/prefix"),
        ("http://broker", "is not a broker"),
        ("mqtt://", "is not a broker"),
        ("mqtt://broker:port", "is not a broker"),
        ("mqtt://broker/a?b=c", "is not a broker"),
        ("mqtt://broker/$SYS", "cannot begin a topic"),
        ("mqtt://broker/a/+/b", "cannot begin a topic"),
        (
            "mqtt://me:secret@broker",
            f"put it into a file that mqtt_password_file names, .*{PASSWORD}",
        ),
        ("http://me:secret@broker", "holds a password"),
        ("mqtt://me:secret@broker:port", "is not a broker"),
    ],
)
def test_what_is_none_is_one_line_and_no_password_is_shown(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        StreamConfig(mqtt=url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_in_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert password_of(None) is None
    monkeypatch.setenv(PASSWORD, "one")
    assert password_of(None) == "one"
    (tmp_path / "file").write_text("two \r\n")
    assert password_of(str(tmp_path / "file")) == "two "
    with pytest.raises(ConfigError, match="none: cannot be read"):
        password_of(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="a password needs a user"):
        StreamConfig(mqtt="mqtt://broker", mqtt_password_file="file")


def test_without_the_package_one_line_says_what_to_type() -> None:
    code = (
        "import sys; sys.modules['paho'] = None; from edge.cli import main;"
        f"sys.exit(main(['--device', {str(SAMPLE)!r}, '--mqtt', 'mqtt://localhost']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert the_one_line(done).endswith("type: pip install 'aac-stream[mqtt]'")


# --- topics


def test_topics_have_plain_names_and_no_two_are_one() -> None:
    assert [slug(text) for text in ("Küche 2", "rtsp://cam/1", "門")] == [
        *("kuche_2", "rtsp_cam_1", "device")
    ]
    topics = topics_of("p", ["a b", "a_b", "門", "窓"])
    bases = [topic.base for topic in topics.values()]
    assert bases == ["p/a_b", "p/a_b_2", "p/device", "p/device_2"]


def test_home_assistant_is_told_all_that_it_asks_for() -> None:
    """As its pages on discovery, sensor.mqtt and binary_sensor.mqtt demand."""
    topics = topics_of("p", ["Küche"])["Küche"]
    messages = discovery("p", "Küche", topics)
    assert messages == discovery("p", "Küche", topics)  # after a restart too
    found = {message.topic: json.loads(message.payload) for message in messages}
    assert all(message.retain for message in messages)
    host = slug(socket.gethostname())
    assert set(found) == {
        f"homeassistant/{kind}/{host}_p_kuche/{name}/config"
        for kind, name in [("sensor", "caption"), ("binary_sensor", "sound"), ("sensor", "state")]
    }
    for topic, config in found.items():
        assert config["unique_id"] == "_".join(topic.split("/")[2:4])
        assert config["availability_topic"] == "p/status"  # online and offline are its defaults
        assert config["device"]["identifiers"] == [f"{host}_p_kuche"]
        assert config["device"]["name"].startswith("Küche")
        assert config["device"]["sw_version"]
        assert config["state_topic"] in (topics.caption, topics.state)
    sound = found[f"homeassistant/binary_sensor/{host}_p_kuche/sound/config"]
    assert sound["device_class"] == "sound"
    jinja2 = pytest.importorskip("jinja2", reason="Home Assistant's templates need jinja2")
    template = jinja2.Template(sound["value_template"])
    assert [template.render(value=v) for v in ("quiet", "a dog barks")] == ["OFF", "ON"]


# --- runs


@needs_broker
def test_what_is_heard_arrives_and_is_what_the_events_say(here: mosquitto.Broker) -> None:
    fast = ("--device", f"the yard={SAMPLE}", "--fast", "--format", "events")
    with listener(here.port) as ear:
        done = aac_stream(*fast, "--mqtt", here.url)
        assert done.returncode == 0, done.stderr
        until(lambda: ear.of("aac-stream/status")[-1:] == ["offline"], "the end")
    assert ear.of("aac-stream/the_yard/event") == done.stdout.splitlines()
    assert done.stdout == aac_stream(*fast).stdout != ""
    assert ear.of("aac-stream/status") == ["online", "offline"]
    captions = ear.of("aac-stream/the_yard/caption")
    assert "a rooster crows" in captions
    assert captions[0] == captions[-1] == "quiet"
    assert set(ear.of("aac-stream/the_yard/state")) <= {"listening", "quiet", "caption"}
    attributes = [json.loads(text) for text in ear.of("aac-stream/the_yard/attributes")]
    assert {"confidence", "start_s", "end_s", "at"} <= set(attributes[0])
    with listener(here.port) as later:  # who comes later is told the state, and no old event
        until(lambda: len(later.messages) >= 7, "what is retained")
    assert all(retained for _, _, retained in later.messages)
    topics = {topic for topic, _, _ in later.messages}
    assert sum(topic.startswith("homeassistant/") for topic in topics) == 3
    assert "aac-stream/the_yard/event" not in topics
    assert later.of("aac-stream/the_yard/caption") == ["quiet"]


@needs_broker
def test_home_assistant_that_starts_again_is_told_again(
    here: mosquitto.Broker, crying: Path
) -> None:
    with listener(here.port) as ear, running("--device", f"yard={crying}", "--mqtt", here.url):
        until(lambda: ear.of("aac-stream/status") == ["online"], "a sign of life")
        configs = [topic for topic, _, _ in ear.messages if topic.endswith("/config")]
        ear.publish("homeassistant/status", "online")
        for topic in configs:
            until(lambda topic=topic: len(ear.of(topic)) == 2, topic)
        assert len(set(ear.of(configs[0]))) == 1
        # Another that uses the same topics has ended: this one goes on.
        ear.publish("aac-stream/status", "offline")
        until(lambda: ear.of("aac-stream/status")[-2:] == ["offline", "online"], "online again")


@needs_broker
def test_a_reload_that_connects_anew_leaves_it_online(
    here: mosquitto.Broker, crying: Path, tmp_path: Path
) -> None:
    """The old connection says goodbye after the new one has said hello."""
    config = tmp_path / "c.yaml"
    config.write_text("format: text\n")
    arguments = ("--device", f"yard={crying}", *OFTEN, "--mqtt", here.url, "--config", str(config))
    with listener(here.port) as ear, running(*arguments) as run:
        until(lambda: ear.of("aac-stream/status") == ["online"], "a sign of life")
        config.write_text("format: jsonl\n")
        run.hup()
        run.told("format changed")
        # It may say so twice: on its own, and because it sees the goodbye.
        until(lambda: "offline" in ear.of("aac-stream/status"), "the goodbye")
        until(lambda: ear.of("aac-stream/status")[-1] == "online", "online again")
        before = len(ear.of("aac-stream/yard/event"))
        until(lambda: len(ear.of("aac-stream/yard/event")) >= before + 2, "events")
        assert ear.of("aac-stream/status")[-1] == "online"
        end_well(run)
        until(lambda: ear.of("aac-stream/status")[-1] == "offline", "the end")


@needs_broker
def test_the_broker_says_that_a_run_was_killed(here: mosquitto.Broker, crying: Path) -> None:
    url = f"{here.url}/home/hall"
    with listener(here.port) as ear:
        with running("--device", f"yard={crying}", "--mqtt", url) as run:
            until(lambda: ear.of("home/hall/status") == ["online"], "a sign of life")
            run.end(signal.SIGKILL)
        until(lambda: ear.of("home/hall/status") == ["online", "offline"], "the last will")


@needs_broker
def test_a_broker_that_goes_away_gets_all_once_it_is_back(
    here: mosquitto.Broker, crying: Path, tmp_path: Path
) -> None:
    out = tmp_path / "events.jsonl"
    arguments = ("--device", f"yard={crying}", *OFTEN, f"--also=events:{out}", "--mqtt", here.url)
    with listener(here.port) as ear, running(*arguments) as run:
        until(lambda: bool(ear.of("aac-stream/yard/event")), "an event")
        here.kill()
        assert "; what is heard is kept, and tried again" in run.told(here.url)
        before = _lines(out)
        until(lambda: _lines(out) > before + 2, "events elsewhere")
        here.start()
        run.told(f"{here.url}: works again after")
        until(lambda: len(set(ear.of("aac-stream/yard/event"))) > before + 2, "events")
        assert ear.of("aac-stream/status")[-1] == "online"
        end_well(run)
        until(lambda: ear.of("aac-stream/status")[-1] == "offline", "the end")
    # At least once: what was on its way as the broker died may come twice.
    assert list(dict.fromkeys(ear.of("aac-stream/yard/event"))) == out.read_text().splitlines()
    assert times("mqtt://", run.err) == 2, run.err


@needs_broker
def test_a_broker_that_comes_later_gets_all(tmp_path: Path, crying: Path) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    with broker(tmp_path) as one:
        one.kill()
        arguments = ("--device", f"yard={crying}", *OFTEN, "--format", "events", "--mqtt", one.url)
        with running(*arguments) as run:
            run.told(f"{one.url}: cannot be reached (Connection refused); what is heard is kept")
            until(lambda: len(run.out) >= 2, "events elsewhere")
            one.start()
            with listener(one.port) as ear:
                run.told("works again after")
                until(lambda: ear.of("aac-stream/status") == ["online"], "a sign of life")
                until(lambda: bool(ear.of("aac-stream/yard/event")), "events")
                end_well(run)
    got = ear.of("aac-stream/yard/event")
    assert got == run.out[-len(got) :]  # the first may have come before somebody listened
    assert times("mqtt://", run.err) == 2, run.err


@needs_broker
def test_a_wrong_password_is_told_once_and_may_be_mended(tmp_path: Path, crying: Path) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    program = shutil.which("mosquitto_passwd")
    assert program is not None  # of the same package
    subprocess.run([program, "-b", "-c", str(tmp_path / "users"), "me", "open-sesame"], check=True)
    secret = tmp_path / "secret"
    secret.write_text("a-wrong-one\n")
    with broker(tmp_path, "allow_anonymous false", f"password_file {tmp_path / 'users'}") as one:
        url = one.url.replace("//", "//me@")
        arguments = ("--device", str(crying), *OFTEN, "--mqtt", url, "--log-level", "debug")
        with running(*arguments, "--mqtt-password-file", str(secret)) as run:
            run.told(f"{one.url}: refuses the user name or the password; what is heard is kept")
            secret.write_text("open-sesame\n")
            run.told(f"{one.url}: works again")
            end_well(run)
        with running(*arguments, env={PASSWORD: "open-sesame"}) as other:
            until(lambda: len(other.out) >= 1, "a caption")
            end_well(other)
    assert times("refuses", run.err) == 1
    for word in ("a-wrong-one", "open-sesame"):
        assert not times(word, run.err + other.err)
    assert not times("mqtt://127", other.err[1:]), other.err


@needs_broker
def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(
    tmp_path: Path, crying: Path
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    settings = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    with broker(tmp_path, *settings) as one:
        url = one.url.replace("mqtt:", "mqtts:")
        arguments = ("--device", str(crying), *OFTEN, "--mqtt", url)
        with running(*arguments) as run:
            assert "CERTIFICATE_VERIFY_FAILED" in run.told(f"{url}: cannot be reached")
            end_well(run)
        with running(*arguments, env={"SSL_CERT_FILE": str(certificate)}) as run:
            until(lambda: len(run.out) >= 1, "a caption")
            end_well(run)
            assert not times(url, run.err), run.err


def end_well(run: Running) -> None:
    run.end()
    assert run.process.returncode == 0, run.err
    assert not times("Traceback", run.err), run.err


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0
