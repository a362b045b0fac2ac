"""Files of a source, also those inside of archives: .zip, .pk3 and Qt's .rcc."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

ZIPS = (".zip", ".pk3", ".pk4", ".jar", ".sb2", ".sb3")
RCC = ".rcc"
ZLIB, DIRECTORY = 1, 2  # Flags of a node of an .rcc file; zstd (4) is not read.


class SourceTree:
    """The files under a folder, found by the end of their path.

    Parameters
    ----------
    root : Path
        Folder of a package or a repository.
    extracted : Path
        Folder into which files of archives are written when they are asked for.
    """

    def __init__(self, root: Path, extracted: Path) -> None:
        self._extracted = extracted
        self._root = root
        paths = [p for p in sorted(root.rglob("*")) if p.is_file() and not p.is_symlink()]
        self._files = by_name(p.relative_to(root).as_posix() for p in paths)
        self._archives = [p for p in paths if p.suffix.lower() in (*ZIPS, RCC)]
        self._members: dict[Path, dict[str, list[str]]] | None = None

    def find(self, path: str) -> Path | None:
        """Return the file whose path ends in `path`; the shortest if there are several."""
        inside = best(self._files, path)
        if inside is not None:
            return self._root / inside
        if self._members is None:
            self._members = {a: by_name(_names(a)) for a in self._archives}
        for archive, members in self._members.items():
            member = best(members, path)
            if member is not None:
                return self._extract(archive, member)
        return None

    def _extract(self, archive: Path, member: str) -> Path:
        target = self._extracted / archive.name / member
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            if archive.suffix.lower() == RCC:
                part.write_bytes(dict(rcc_files(archive.read_bytes()))[member])
            else:
                with zipfile.ZipFile(archive) as file:
                    part.write_bytes(file.read(member))
            part.replace(target)
        return target


def best(files: dict[str, list[str]], path: str) -> str | None:
    """Return the shortest of `files` (paths by file name) that ends in `path`."""
    same = files.get(path.rsplit("/", 1)[-1], [])
    ends = [name for name in same if name == path or name.endswith("/" + path)]
    return min(ends, key=lambda name: (len(name), name), default=None)


def by_name(paths: Iterator[str]) -> dict[str, list[str]]:
    """Return lists of paths by the last part of each."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(path.rsplit("/", 1)[-1], []).append(path)
    return found


def _names(archive: Path) -> Iterator[str]:
    try:
        if archive.suffix.lower() == RCC:
            yield from (name for name, _ in rcc_files(archive.read_bytes(), names_only=True))
        else:
            with zipfile.ZipFile(archive) as file:
                # A name with ".." would be written outside of the folder.
                yield from (name for name in file.namelist() if ".." not in name.split("/"))
    except (OSError, ValueError, struct.error, zipfile.BadZipFile):
        return  # An archive of another kind holds nothing that we look for.


def rcc_files(data: bytes, names_only: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of each file of a Qt resource file, version 1 to 3.

    Raises
    ------
    ValueError
        If `data` is not such a file.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
    if magic != b"qres" or not 1 <= version <= 3:
        raise ValueError("not a Qt resource file")
    size = 14 if version == 1 else 22  # Bytes of a node; later versions add a time.

    def name_of(node: int) -> str:
        at = names + struct.unpack_from(">I", data, node)[0]
        length = int(struct.unpack_from(">H", data, at)[0])
        return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")

    def walk(index: int, folder: str) -> Iterator[tuple[str, bytes]]:
        count, first = struct.unpack_from(">II", data, tree + index * size + 6)
        for child in range(first, first + count):
            node = tree + child * size
            flags = struct.unpack_from(">H", data, node + 4)[0]
            path = folder + name_of(node)
            if flags & DIRECTORY:
                yield from walk(child, path + "/")
                continue
            at = contents + struct.unpack_from(">I", data, node + 10)[0]
            length = struct.unpack_from(">I", data, at)[0]
            body = b"" if names_only else data[at + 4 : at + 4 + length]
            yield path, zlib.decompress(body[4:]) if flags & ZLIB and body else body

    yield from walk(0, "")
