"""Fill dataclasses from JSON or YAML values, and check the types."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")

# Maps the declared type of a field to the accepted types and to their name in messages.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "list[int]": ((list,), "a list of whole numbers"),
    "list[str]": ((list,), "a list of texts"),
    "str | list[str]": ((str, list), "text, or a list of texts"),
}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40


def check_type(name: str, declared: str, value: object) -> None:
    """Check that `value` has the declared type.

    Parameters
    ----------
    name
        The name of the field, for the message.
    declared
        The type as the dataclass declares it: a key of `KINDS`, or one with " | None" after it.
    value
        The value to check.

    Raises
    ------
    TypeError
        `value` has another type. The message is a sentence for the user.
    """
    kind, none = declared.removesuffix(" | None"), declared.endswith(" | None")
    types, called = KINDS[kind]
    if value is None and none:
        return
    right = isinstance(value, types) and (declared == "bool" or not isinstance(value, bool))
    if isinstance(value, list):
        right = right and all(type(item) is (int if kind == "list[int]" else str) for item in value)
    if not right:
        raise TypeError(f"{name}: {shown(value)} is not {called}{_hint(kind, value)}")


def shown(value: object) -> str:
    """Return a short text of `value` for messages, even if it is huge or contains itself."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to convert integers with too many digits.
        return "a number of very many digits"


def _hint(kind: str, value: object) -> str:
    """Return advice that begins with a semicolon, or "" if there is none."""
    if kind.startswith("str") and isinstance(value, (int, float)):
        return "; put it in quotes"
    if kind not in ("int", "float") or not isinstance(value, (str, float)):
        return ""
    try:
        number = float(value.replace(",", ".") if isinstance(value, str) else value)
    except ValueError:
        return ""
    if not math.isfinite(number) or (kind == "int" and not number.is_integer()):
        return ""
    return f"; write {number:.12g} without quotes"


def fill(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return an instance of the dataclass `cls`, filled with `values`.

    Raises
    ------
    KeyError
        A required key is missing, or a key is unknown.
    TypeError
        A value has the wrong type.
    """
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for name, value in values.items():
        check_type(name, str(known[name].type), value)
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise KeyError(name)
    return cls(**values)
