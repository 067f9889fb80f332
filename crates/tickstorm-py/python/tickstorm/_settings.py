"""Python values as the texts of settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TypeVar

from ._errors import SettingError

#: Argument, setting, value.
Settings = list[tuple[str, str, str]]

T = TypeVar("T")


def wrong_type(argument: str, value: object, allowed: str) -> TypeError:
    return TypeError(f"{argument} must be {allowed}, got {value!r} of type {type(value).__name__}")


def number(argument: str, value: object) -> float:
    """A finite number that is no bool."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(argument, value, "a number")
    if not math.isfinite(value):
        raise SettingError(f"{argument} must be finite, got {value!r}")
    return value


def whole(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(argument, value, "a whole number")
    return value


def plain(value: float, decimals: int = 6) -> str:
    """A number without exponent, which settings do not read, and with no more decimals than they take: a third is as good
    a multiplier as any. What would be rounded to nothing is left to be refused as it is."""
    if isinstance(value, int):
        return str(value)
    rounded = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return repr(value) if value and not float(rounded) else rounded


def seconds(argument: str, value: object) -> str:
    """A length of time in seconds, or as a ``timedelta``."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    length = number(argument, value)
    if length < 0:
        raise SettingError(f"{argument} must not be negative, got {value!r}")
    return plain(length, decimals=9) + "s"


def text(argument: str, value: object) -> str:
    """The value of a setting that has no argument of its own."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return seconds(argument, value)
    if isinstance(value, (int, float)):
        return plain(number(argument, value))
    raise wrong_type(argument, value, "text, a number, a bool or a timedelta")


def texts(argument: str, values: object, example: str) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise wrong_type(argument, values, f"several texts, as {example}")
    every = list(values)
    for each in every:
        if not isinstance(each, str):
            raise wrong_type(argument, each, f"texts, as {example}")
    return every


def more(settings: Mapping[str, object] | None, own: Mapping[str, str]) -> Settings:
    """Settings by the names that they have on the command line. Those in `own` belong elsewhere, as is said there."""
    if settings is None:
        return []
    if not isinstance(settings, Mapping):
        raise wrong_type("settings", settings, "a mapping of names to values")
    pairs: Settings = []
    for name, value in settings.items():
        if not isinstance(name, str):
            raise wrong_type("settings", name, "a mapping with texts as names")
        argument, setting = f"settings[{name!r}]", name.replace("_", "-")
        if setting in own:
            raise SettingError(f"{argument}: {own[setting]}")
        values: Iterable[object] = value if isinstance(value, (list, tuple)) else (value,)
        pairs.extend((argument, setting, text(argument, each)) for each in values)
    return pairs


def arguments_of(pairs: Settings) -> dict[str, str]:
    """Settings that have arguments of their own, which one in a mapping would contradict."""
    return {setting: f"there is the argument {argument} for it" for argument, setting, _ in pairs}


def one_of(argument: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    if value not in allowed:
        raise SettingError(f"{argument} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def checked(make: Callable[[], T]) -> T:
    """Calls the engine, whose plain ``ValueError`` becomes ours."""
    try:
        return make()
    except ValueError as error:
        raise SettingError(str(error)) from None
