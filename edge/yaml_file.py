"""Read a YAML file of `key: value` lines; an error is one sentence with the line number."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge.errors import ConfigError

LARGEST = 100_000  # Maximum size in bytes; a larger file is not a configuration.
# Byte order marks of encodings other than UTF-8.
OTHER_UNICODE = {
    # The mark of UTF-32 begins with the one of UTF-16, so it is tested first.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True)
class Entry:
    """The value of a key, its line, and its spelling in the file."""

    line: int  # Line number, from 1.
    value: Any
    text: str | None  # The spelling of a scalar without quotes; None for other values.


def read_entries(path: Path, keys: Collection[str]) -> dict[str, Entry]:
    """Return the entries of the file `path`.

    Parameters
    ----------
    path
        The YAML file.
    keys
        The known keys. They serve to explain a syntax error; an unknown key is returned too.

    Raises
    ------
    ConfigError
        The file cannot be read, is not UTF-8, is not valid YAML, is not a mapping, or contains a
        key twice.
    """
    text = _read_text(path)
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_yaml(path, text, error, keys) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        _check_colons(path, text, keys)
        raise ConfigError(f"{path}: is not a list of 'key: value' lines")
    entries: dict[str, Entry] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _construct(path, "key", key_node)
        if not isinstance(key, str):
            key = str(key_node.value)[:40]
        if key in entries:
            raise ConfigError(
                f"{path}, line {line}: {key!r} is set in line {entries[key].line} already; "
                "remove one of the two lines"
            )
        plain = isinstance(value_node, yaml.ScalarNode) and value_node.style is None
        value = _construct(path, key, value_node)
        entries[key] = Entry(line, value, value_node.value if plain else None)
    return entries


def _read_text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # The path contains a NUL character.
        raise ConfigError(f"{str(path)!r}: cannot be read ({error})") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: is larger than 100 kB, so it is not a configuration")
    for mark, name in OTHER_UNICODE.items():
        if data.startswith(mark):
            raise ConfigError(f"{path}, line 1: is {name} text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: is not UTF-8 text (byte 0x{data[error.start]:02x}); "
            "save the file as UTF-8"
        ) from None
    if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise ConfigError(
            f"{path}: is not valid YAML: line {line} holds the character U+{ord(bad[0]):04X}; "
            "save the file as UTF-8 text"
        )
    return text


def _not_yaml(path: Path, text: str, error: Exception, keys: Collection[str]) -> ConfigError:
    """Return a ConfigError that explains why the parser refuses `text` with `error`.

    If a line lacks the colon or the space after a known key, raise an error about that line.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return ConfigError(f"{path}: is not valid YAML: it is nested too deeply")
    line = mark.line + 1
    lines = text.splitlines()
    before = lines[mark.line][: mark.column + 1] if mark.line < len(lines) else ""
    if "\t" in before:
        return ConfigError(f"{path}, line {line}: is not valid YAML: it holds a tab; use spaces")
    _check_colons(path, text, keys)
    why = re.sub(r"\s+", " ", str(getattr(error, "problem", None) or "it cannot be read"))
    return ConfigError(f"{path}, line {line}: is not valid YAML: {why}")


def _check_colons(path: Path, text: str, keys: Collection[str]) -> None:
    """Raise ConfigError for the first line that sets a key without a colon and a space."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*([\w-]+)(?:\s*=\s*|:(?=\S)|\s+)(\S.*)", line)
        if found and found[1].replace("-", "_") in keys:
            key = found[1].replace("-", "_")
            raise ConfigError(
                f"{path}, line {number}: {line.strip()[:60]!r} needs a colon and a space after "
                f"the key; write '{key}: {found[2].strip()[:40]}'"
            )


def _construct(path: Path, key: str, node: yaml.Node) -> Any:
    """Return the value of `node`, built from standard YAML types only.

    Raises ConfigError, with `path`, the line and `key`, if the value is not valid.
    """
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        why = str(getattr(error, "problem", None) or error).split(";")[0]
        raise ConfigError(
            f"{path}, line {node.start_mark.line + 1}: {key}: is not valid YAML: {why}; "
            "put text in quotes"
        ) from None
    finally:
        loader.dispose()
