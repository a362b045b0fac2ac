"""Run `aac-stream` without the names of the standard library that Windows does not have.

python tests/without_posix.py --device recording.wav --fast
"""

from __future__ import annotations

# Modules of the standard library that take these names from `os` on this system, not on Windows.
import asyncio  # noqa: F401
import os
import select
import signal
import socket
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
from contextlib import suppress
from importlib import import_module

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
PACKAGES = ("numpy", "onnxruntime", "sounddevice", "soundfile", "soxr", "yaml")
NAMES = {
    os: [
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
        *("chown", "fchmod", "fchown", "fork", "getpgid", "getpgrp", "geteuid", "getuid"),
        *("killpg", "mkfifo", "pread", "preadv", "pwrite", "sched_getaffinity", "set_blocking"),
        *("setpgid", "setsid", "statvfs", "sysconf", "uname", "wait4", "getloadavg", "pipe2"),
        *("posix_fallocate", "posix_fadvise", "sendfile", "memfd_create", "openpty", "ttyname"),
        *("get_blocking", "setpriority", "getpriority", "nice", "mknod", "setuid", "setgid"),
    ],
    signal: [
        *("SIGHUP", "SIGALRM", "SIGCHLD", "SIGCONT", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP"),
        *("SIGUSR1", "SIGUSR2", "SIGXFSZ", "ITIMER_REAL", "setitimer", "getitimer", "alarm"),
        *("pause", "pthread_kill", "pthread_sigmask", "siginterrupt", "sigwait", "sigtimedwait"),
        *("SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK", "SIGWINCH", "SIGTSTP"),
    ],
    select: ["poll", "epoll", "kqueue", "devpoll", "POLLIN", "POLLOUT", "POLLHUP", "POLLERR"],
    socket: ["AF_UNIX", "TCP_USER_TIMEOUT", "SO_REUSEPORT", "SO_PEERCRED"],
}


def remove_posix() -> None:
    """Remove the names from the modules that are loaded, and have the imports of others fail.

    Packages of others are loaded before: on Windows they are other builds.
    """
    for package in PACKAGES:
        with suppress(ImportError, OSError):  # PortAudio may be missing.
            import_module(package)
    # Asyncio needs a pair of sockets. On Windows, Python makes it from two of the Internet family.
    make, family = socket.socketpair, socket.AF_UNIX
    socket.socketpair = lambda *_: make(family)
    for module, names in NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]


if __name__ == "__main__":
    remove_posix()
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from edge.cli import main

    sys.exit(main())
