"""Expand the paths that a user types."""

from __future__ import annotations

import os
import re

from edge.errors import ConfigError


def expand_user(setting: str, text: str) -> str:
    """Return the path `text` with a leading `~` or `~user` replaced by the home folder.

    A shell does this only for some arguments, and never for a configuration file. If a file in the
    current folder has the name `text`, return its absolute path.

    Parameters
    ----------
    setting
        The name of the setting; error messages begin with it.
    text
        The path as the user typed it.

    Raises
    ------
    ConfigError
        There is no such user, the home folder is not known, or the path contains a NUL character.
    """
    if "\0" in text:
        raise ConfigError(f"{setting}: a path cannot hold the character U+0000")
    if not text.startswith("~"):
        return text
    if os.path.lexists(text):  # A file in the current folder has this name.
        return os.path.abspath(text)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = re.split(r"[/\\]", text, maxsplit=1)[0][1:]
        why = f"there is no user {user!r}" if user else "the home folder is not known; set HOME"
        raise ConfigError(f"{setting}: {text}: {why}")
    return expanded
