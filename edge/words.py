"""What the setting `command` says: a program and its arguments, for no shell to read."""

from __future__ import annotations

import shlex

from edge.errors import ConfigError


def words_of(command: str | list[str]) -> list[str]:
    """The program and its arguments.

    Raises: ConfigError if there is none, or a quotation does not end.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise ConfigError(f"command: {command!r} cannot be read ({error})") from None
    if not words or not words[0]:
        raise ConfigError("command: names no program; as 'notify-send heard', or leave it out")
    return words
