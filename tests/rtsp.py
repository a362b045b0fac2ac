"""A real RTSP server: a camera with sound and a picture, over TCP or only UDP."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000  # of G.711, which every camera speaks
PACKET = 160  # samples, 20 ms


class Camera:
    """Plays the first channel of `recording` to each client, on the clock, as PCMU."""

    def __init__(self, recording: Path, tcp: bool = True, video: bool = True) -> None:
        self.requests: list[str] = []  # the first line of each
        self.headers: list[str] = []  # of each: the whole of it
        self._tcp, self._video = tcp, video
        samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
        step = rate / RATE
        places = (np.arange(int(len(samples) / step)) * step).astype(int)
        soundfile.write(path := recording.with_suffix(".ul.au"), samples[places, 0], RATE, "ULAW")
        self._data = path.read_bytes()[24:]
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        rest, target = b"", None
        try:
            while data := client.recv(65_536):
                rest += data
                while b"\r\n\r\n" in rest:
                    head, rest = rest.split(b"\r\n\r\n", 1)
                    target = self._answer(client, head.decode(), target)
        except OSError:
            pass

    def _answer(
        self, client: socket.socket, head: str, target: tuple[str, int] | None
    ) -> tuple[str, int] | None:
        first = head.splitlines()[0]
        self.requests.append(first)
        self.headers.append(head)
        number = re.search(r"CSeq: (\d+)", head)
        lines, body, play = [f"CSeq: {number[1] if number else 0}"], "", False
        status = "200 OK"
        if first.startswith("OPTIONS"):
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif first.startswith("DESCRIBE"):
            body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
            if self._video:
                body += "m=video 0 RTP/AVP 26\r\na=control:video\r\n"
            body += "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n"
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif first.startswith("SETUP"):
            wanted = re.search(r"Transport: (.+)", head)
            transport = wanted[1].strip() if wanted else ""
            ports = re.search(r"client_port=(\d+)", transport)
            if "TCP" in transport and not self._tcp:
                status = "461 Unsupported Transport"
            else:
                target = ("127.0.0.1", int(ports[1])) if ports else ("", 0)
                lines += ["Session: 7", f"Transport: {transport}"]
                if ports:
                    lines[-1] += ";server_port=5998-5999"
        elif first.startswith("PLAY"):
            lines.append("Session: 7")
            play = True
        client.sendall("\r\n".join([f"RTSP/1.0 {status}", *lines, "", ""]).encode() + body.encode())
        if play and target is not None:
            threading.Thread(target=self._play, args=(client, target), daemon=True).start()
        return target

    def _play(self, client: socket.socket, target: tuple[str, int]) -> None:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        began = time.monotonic()
        try:
            for i in range(len(self._data) // PACKET):
                head = struct.pack(">BBHII", 0x80, 0, i & 0xFFFF, i * PACKET, 99)
                packet = head + self._data[i * PACKET : (i + 1) * PACKET]
                if target[1]:
                    datagrams.sendto(packet, target)
                else:
                    client.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                late = began + (i + 1) * PACKET / RATE - time.monotonic()
                if self._closed.wait(max(0.0, late)):
                    break
        except OSError:
            pass
        client.close()

    def set_up(self) -> list[str]:
        """The tracks that were asked for, with the transport."""
        return [
            f"{head.split()[1].rsplit('/', 1)[-1]} {'TCP' if 'AVP/TCP' in head else 'UDP'}"
            for head in self.headers
            if head.startswith("SETUP")
        ]

    def url(self, path: str = "live") -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        self._closed.set()
        self._server.close()
