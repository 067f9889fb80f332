"""How the rate changes over a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import ClassVar

from . import _tickstorm
from ._errors import SettingError
from ._settings import checked, number, plain, seconds, wrong_type

#: A stage: its length in seconds, and its factor, or the factors at its start and end.
Stage = tuple[float | timedelta, float | tuple[float, float]]


class _Names(type):
    """``LoadProfile["RAMP_UP"]``, ``"SPIKE" in LoadProfile`` and iteration, as an enum has them."""

    def __getitem__(cls, name: str) -> LoadProfile:
        if name not in _NAMES:
            raise KeyError(name)
        return LoadProfile(name)

    def __iter__(cls) -> Iterator[LoadProfile]:
        return (LoadProfile(name) for name in _NAMES)

    def __len__(cls) -> int:
        return len(_NAMES)

    def __contains__(cls, profile: object) -> bool:
        return (profile._text if isinstance(profile, LoadProfile) else profile) in _NAMES


class LoadProfile(metaclass=_Names):
    """How the rate changes over a run: a factor over time, times the base rate and the multiplier.

    ``LoadProfile("SPIKE?peak=20x&period=5s")`` reads what the command line reads: a name in any case, parameters
    behind a question mark, or stages as ``"30s:1x, 10s:1x..8x, 5s:20x"``. Anything else raises :class:`SettingError`.
    """

    NORMAL: ClassVar[LoadProfile]
    """The same rate throughout."""
    VOLATILE: ClassVar[LoadProfile]
    """Seeded swings between half and twice the rate."""
    SPIKE: ClassVar[LoadProfile]
    """Sudden bursts of ten times the rate, a second long, every ten seconds."""
    RAMP_UP: ClassVar[LoadProfile]
    """From nothing to five times the rate."""
    RAMP_DOWN: ClassVar[LoadProfile]
    """From five times the rate to nothing."""

    __slots__ = ("_name", "_text")
    _name: str
    _text: str

    def __init__(self, text: str | LoadProfile) -> None:
        given = text._text if isinstance(text, LoadProfile) else text
        if not isinstance(given, str):
            raise wrong_type("profile", given, "a LoadProfile or its text")
        name, canonical = checked(lambda: _tickstorm.parse_profile(given))
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_text", canonical)

    @classmethod
    def volatile(
        cls,
        *,
        low: float | None = None,
        high: float | None = None,
        cell: float | timedelta | None = None,
        memory: float | timedelta | None = None,
    ) -> LoadProfile:
        """Swings between the factors ``low`` (0.5) and ``high`` (2), each held for ``cell`` (0.1 s); a swing is forgotten
        after ``memory`` (5 s)."""
        return cls._with("VOLATILE", {"low": low, "high": high}, {"cell": cell, "memory": memory})

    @classmethod
    def spike(
        cls,
        *,
        peak: float | None = None,
        period: float | timedelta | None = None,
        burst: float | timedelta | None = None,
    ) -> LoadProfile:
        """Bursts of the factor ``peak`` (10), one every ``period`` (10 s), each as long as ``burst`` (a tenth of it)."""
        return cls._with("SPIKE", {"peak": peak}, {"period": period, "burst": burst})

    @classmethod
    def ramp_up(cls, *, start: float | None = None, end: float | None = None) -> LoadProfile:
        """A linear rise from the factor ``start`` (0) to ``end`` (5)."""
        return cls._with("RAMP_UP", {"from": start, "to": end}, {})

    @classmethod
    def ramp_down(cls, *, start: float | None = None, end: float | None = None) -> LoadProfile:
        """A linear fall from the factor ``start`` (5) to ``end`` (0)."""
        return cls._with("RAMP_DOWN", {"from": start, "to": end}, {})

    @classmethod
    def stages(cls, stages: str | Iterable[Stage]) -> LoadProfile:
        """A profile of your own, whose length is that of its stages: ``"30s:1x, 10s:1x..8x"``, or pairs of seconds and a
        factor, or of seconds and the factors at start and end: ``[(30, 1), (10, (1, 8))]``."""
        if isinstance(stages, str):
            if ":" not in stages:
                raise SettingError(f"stages: expected stages as `30s:1x, 10s:1x..8x`, got `{stages}`")
            return cls(stages)
        if not isinstance(stages, Iterable):
            raise wrong_type("stages", stages, "text, or several pairs of seconds and a factor (or two)")
        words = []
        for index, stage in enumerate(stages):
            argument = f"stages[{index}]"
            if not isinstance(stage, tuple) or len(stage) != 2:
                raise wrong_type(argument, stage, "a pair of seconds and a factor (or two)")
            length, factors = stage
            ends = factors if isinstance(factors, tuple) else (factors, factors)
            if len(ends) != 2:
                raise SettingError(f"{argument} must have one factor or two, got {factors!r}")
            start, end = (plain(number(argument, factor)) for factor in ends)
            words.append(f"{seconds(argument, length)}:{start}x..{end}x")
        if not words:
            raise SettingError("stages must be at least one, got none")
        return cls(", ".join(words))

    @classmethod
    def _with(
        cls, name: str, factors: dict[str, float | None], times: dict[str, float | timedelta | None]
    ) -> LoadProfile:
        words = [f"{key}={plain(number(key, value))}x" for key, value in factors.items() if value is not None]
        words += [f"{key}={seconds(key, value)}" for key, value in times.items() if value is not None]
        return cls(f"{name}?{'&'.join(words)}" if words else name)

    @property
    def name(self) -> str:
        """``NORMAL``, ``VOLATILE``, ``SPIKE``, ``RAMP_UP``, ``RAMP_DOWN`` or ``STAGES``."""
        return self._name

    @property
    def value(self) -> str:
        """The text that the command line reads."""
        return self._text

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a LoadProfile does not change: cannot set {name!r}")

    def __reduce__(self) -> tuple[type[LoadProfile], tuple[str]]:
        return LoadProfile, (self._text,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadProfile) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"LoadProfile.{self._name}" if self._text in _NAMES else f"LoadProfile({self._text!r})"


_NAMES = ("NORMAL", "VOLATILE", "SPIKE", "RAMP_UP", "RAMP_DOWN")

for _name in _NAMES:
    setattr(LoadProfile, _name, LoadProfile(_name))
