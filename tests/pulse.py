"""A private PulseAudio server with a virtual microphone, for tests.

What is played into the sink ``vspk`` is heard by the source ``vmic``. The server
has its own runtime folder, home and ALSA configuration, so it neither touches
nor sees the sound server and the sound cards of the machine. Child processes
that are given :attr:`PulseServer.env` find it as ALSA's ``default`` and
``pulse`` devices, as an ordinary desktop program would. ``second`` is another
microphone, with a sink of its own.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SINK = "vspk"
SOURCE = "vmic"
SECOND_SINK, SECOND_SOURCE = "second-vspk", "second-vmic"

# The sample rate of common USB microphones.
RATE = 48_000

# norewinds: blocks of 50 ms. By default, sound that is heard by nobody goes in
# blocks of 2 s, and a recording starts with as long a silence. Floats pass on
# what is no number, as some drivers do.
_SINK_SETTINGS = f"rate={RATE} channels=2 norewinds=1 format=float32le"

# Read in place of the machine's alsa.conf: real cards are then out of reach, so
# a test cannot pass, or fail, by hearing the room.
_ALSA_CONFIG = """\
pcm.pulse { type pulse }
ctl.pulse { type pulse }
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.second { type pulse device second-vmic }
"""

# A recording whose source goes away must end, as with a real plug that is pulled
# out; by default PulseAudio moves it on to whatever other source there is.
_DAEMON_CONFIG = """\
rescue-streams = no
"""

_CLIENT_CONFIG = """\
autospawn = no
enable-shm = no
"""

# A socket's path may have 107 bytes at most; the rest is for what follows the
# temporary folder's.
_TEMP_PATH_MAX = 60


class PulseError(RuntimeError):
    """The server did not start, or refused a request."""


def missing_packages() -> list[str]:
    """Name the Debian packages without which the server or its users cannot run."""
    missing = []
    if shutil.which("pulseaudio") is None:
        missing.append("pulseaudio")
    if shutil.which("paplay") is None or shutil.which("pactl") is None:
        missing.append("pulseaudio-utils")
    if not _has_alsa_pulse_plugin():
        missing.append("libasound2-plugins")
    if ctypes.util.find_library("portaudio") is None:
        missing.append("libportaudio2")
    return missing


def _has_alsa_pulse_plugin() -> bool:
    name = "alsa-lib/libasound_module_pcm_pulse.so"
    return any(
        any(root.glob(pattern))
        for root in (Path("/usr/lib"), Path("/usr/lib64"))
        for pattern in (name, f"*/{name}")
    )


class PulseServer:
    """A running server. Call :meth:`close` when done."""

    def __init__(self, *, start_timeout: float = 60.0) -> None:
        """Start the server and wait until the virtual microphone is there."""
        temp = tempfile.gettempdir()
        if len(os.fsencode(temp)) > _TEMP_PATH_MAX:
            temp = "/tmp"
        self._root = Path(tempfile.mkdtemp(prefix="aac-pulse-", dir=temp))
        self._players: list[subprocess.Popen[bytes]] = []
        self._modules: dict[str, str] = {}  # of the microphones that are plugged in
        self._server: subprocess.Popen[bytes] | None = None
        self.env = self._prepare()
        try:
            self._start(start_timeout)
            # Never SOURCE: recordings are moved away from a source that stops
            # being the default one, and would outlive it.
            self._pactl("set-default-source", f"{SINK}.monitor")
            self.load_source()
            self.load_source(SECOND_SOURCE)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> dict[str, str]:
        """Write the configuration; return the environment that points to it."""
        home = self._root / "home"
        runtime = self._root / "run"
        home.mkdir()
        # PulseAudio refuses a runtime folder that others can read.
        runtime.mkdir(mode=0o700)
        self._socket = runtime / "native"
        files = {
            "asoundrc": _ALSA_CONFIG,
            "client.conf": _CLIENT_CONFIG,
            "daemon.conf": _DAEMON_CONFIG,
        }
        for name, text in files.items():
            (self._root / name).write_text(text)
        env = {
            name: value
            for name, value in os.environ.items()
            # Anything that leads to the desktop's own sound server or settings.
            if not name.startswith(("PULSE_", "ALSA_", "XDG_", "DBUS_", "PIPEWIRE_"))
            and name not in ("DISPLAY", "WAYLAND_DISPLAY")
        }
        return env | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "PULSE_RUNTIME_PATH": str(runtime),
            "PULSE_CONFIG": str(self._root / "daemon.conf"),
            "PULSE_CLIENTCONFIG": str(self._root / "client.conf"),
            "PULSE_SERVER": f"unix:{self._socket}",
            # By name, and not only as the server's defaults: without its source
            # the server would fall back to the sink's monitor, and a program
            # would go on hearing after its microphone is gone.
            "PULSE_SINK": SINK,
            "PULSE_SOURCE": SOURCE,
            "ALSA_CONFIG_PATH": str(self._root / "asoundrc"),
        }

    def _start(self, timeout: float) -> None:
        command = [
            "pulseaudio",
            "-n",  # no start-up script: only the modules below
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disallow-exit=false",
            "--realtime=no",
            "--high-priority=no",
            "--disable-shm=yes",
            "--log-target=stderr",
            "-L",
            f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            "-L",
            f"module-null-sink sink_name={SINK} {_SINK_SETTINGS}",
            "-L",
            f"module-null-sink sink_name={SECOND_SINK} {_SINK_SETTINGS}",
        ]
        if setpriv := shutil.which("setpriv"):
            # The kernel then ends the server even where the tests are killed.
            command = [setpriv, "--pdeathsig", "TERM", "--", *command]
        env = {k: v for k, v in self.env.items() if k != "PULSE_SERVER"}
        with (self._root / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest, which then closes the server in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not (self._socket.exists() and self._answers()):
            if self._server.poll() is not None:
                raise PulseError(f"pulseaudio ended at once:\n{self.log()}")
            if time.monotonic() > deadline:
                raise PulseError(f"pulseaudio did not start in {timeout:g} s:\n{self.log()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        # The socket is there before the sink is, so ask for the sink.
        try:
            return SECOND_SINK in self._pactl("list", "short", "sinks")
        except PulseError:
            return False

    def _pactl(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["pactl", *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PulseError(f"pactl {' '.join(arguments)}: no answer") from error
        if done.returncode != 0:
            raise PulseError(f"pactl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def log(self) -> str:
        """Return what the server has logged."""
        return (self._root / "server.log").read_text(errors="replace")

    def play(self, path: str | os.PathLike[str], sink: str = SINK) -> subprocess.Popen[bytes]:
        """Play a sound file into a virtual speaker; return without waiting."""
        player = subprocess.Popen(
            ["paplay", f"--device={sink}", os.fspath(path)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._players.append(player)
        return player

    def load_source(self, source: str = SOURCE) -> None:
        """Plug a virtual microphone in; do nothing where it is in already."""
        if source not in self._modules:
            self._modules[source] = self._pactl(
                "load-module",
                "module-virtual-source",
                f"source_name={source}",
                f"master={SINK if source == SOURCE else SECOND_SINK}.monitor",
                "format=float32le",
            )

    def unload_source(self, source: str = SOURCE) -> None:
        """Pull a virtual microphone out, as one would a USB plug.

        Recordings end with an error, and opening its device fails until
        :meth:`load_source`. ALSA lists the device all the same.
        """
        if source in self._modules:
            self._pactl("unload-module", self._modules.pop(source))

    def suspend_source(self, suspended: bool) -> None:
        """Let the virtual microphone give nothing while it stays there, as one that hangs."""
        self._pactl("suspend-source", SOURCE, "1" if suspended else "0")

    def hush(self) -> None:
        """End every player."""
        for player in self._players:
            _end(player)
        self._players.clear()

    def close(self) -> None:
        """End the server and every player, and remove their files."""
        self.hush()
        if self._server is not None:
            _end(self._server)
            self._server = None
        shutil.rmtree(self._root, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that may have ended already. Neither kind has children."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
