"""Debian packages as a source of sounds: downloaded and unpacked into a cache, never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from distill.errors import CorpusError

# Of the host's C library there can be only one.
FROM_HOST = re.compile(r"lib(c6|gcc-s1|stdc\+\+6|crypt1|perl.*|selinux1|systemd0)$")


def need_apt() -> None:
    """Raises: CorpusError on a system that is not Debian's kind."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise CorpusError(
                f"{tool} is missing: the corpus is built from Debian packages; "
                "run this on Debian, Ubuntu or in a container of theirs"
            )


def unpack(package: str, version: str, cache: Path) -> tuple[Path, str]:
    """The unpacked `package` under `cache`, and the version that it is.

    That is `version`, or the system's own choice if `version` is empty or no longer in the archive.

    Raises: CorpusError if it cannot be had.
    """
    final = cache / f"{package}_{version.replace(':', '%3a')}"
    if final.is_dir():
        return final, (final / ".version").read_text(encoding="utf-8")
    wanted = [[f"{package}={version}"], [package]] if version else [[package]]
    debs = _download(package, wanted, cache)
    got = _field(debs[0], "Version")
    _extract(debs, got, final)
    return final, got


def unpack_program(package: str, cache: Path) -> Path:
    """The unpacked `package` with the shared libraries that it needs, in one tree.

    Raises: CorpusError if it cannot be had.
    """
    final = cache / f"{package}_with_libraries"
    if not final.is_dir():
        debs = _download(package, [_library_closure(package)], cache)
        _extract(debs, "", final)
    return final


def _download(name: str, choices: list[list[str]], cache: Path) -> list[Path]:
    """The .deb files of the first of `choices` (lists of packages) that the archive has."""
    # Its own folder for each process: two builds may share a cache.
    incoming = cache / "incoming" / f"{name}.{os.getpid()}"
    for packages in choices:
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        if _run(["apt-get", "download", *packages], incoming):
            return sorted(incoming.glob("*.deb"))
    raise CorpusError(
        f"package {name}: cannot be downloaded; run apt-get update, and check the network"
    )


def _extract(debs: list[Path], version: str, final: Path) -> None:
    incoming = debs[0].parent
    tree = incoming / "tree"
    for deb in debs:
        if not _run(["dpkg", "-x", str(deb), str(tree)], incoming):
            raise CorpusError(f"{deb.name}: cannot be unpacked; is the disk full?")
    (tree / ".version").write_text(version, encoding="utf-8")
    # Renamed at the end: what an interruption leaves is never taken for a whole package.
    try:
        tree.rename(final)
    except OSError:
        if not final.is_dir():  # Another build did not bring the same package meanwhile.
            raise
    shutil.rmtree(incoming)


def _library_closure(package: str) -> list[str]:
    """`package` and the shared libraries it needs, but for the C library."""
    command = ["apt-cache", "depends", "--recurse", "--important", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = re.findall(r"^([a-z0-9][a-z0-9.+-]*)$", done.stdout, re.MULTILINE)
    if package not in names:
        raise CorpusError(f"package {package}: is unknown; run apt-get update")
    libraries = {n for n in names if n.startswith("lib") and not FROM_HOST.match(n)}
    return [package, *sorted(libraries)]


def _field(deb: Path, field: str) -> str:
    done = subprocess.run(
        ["dpkg-deb", "-f", str(deb), field], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _run(command: list[str], folder: Path) -> bool:
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
