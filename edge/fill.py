"""A dataclass from what JSON or YAML holds, every type checked."""

from __future__ import annotations

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
        raise TypeError(f"{name}: {value!r} is not {called}")


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
