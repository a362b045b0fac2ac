"""A dataclass from what JSON or YAML holds, every type checked."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")

# By how a field is declared: the types that do, and how to call them.
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
    """Raises: TypeError, with a sentence, if `value` is not what `declared` says."""
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
    """Return `value` as messages show it: short, even where it is huge or refers to itself."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python does not convert integers of very many digits.
        return "a number of very many digits"


def _hint(kind: str, value: object) -> str:
    """Return what to write instead, after a semicolon, or nothing."""
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
    """A `cls` with `values`.

    Raises: KeyError if a key is missing or not known; TypeError if a value is of another type.
    """
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for name, value in values.items():
        check_type(name, str(known[name].type), value)
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise KeyError(name)
    return cls(**values)
