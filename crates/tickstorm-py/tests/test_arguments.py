"""Wrong arguments are refused before anything runs, with the argument, the value and what is allowed."""

from __future__ import annotations

import asyncio
import errno
import functools
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tickstorm import (
    CheckError,
    LoadGenerator,
    LoadProfile,
    MockExchange,
    RunError,
    SettingError,
    TickstormError,
    WebSocketMessageGenerator,
    check,
)


async def target(msg: Any) -> bool:
    raise AssertionError("nothing runs")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_rate": 0}, ["base_rate", "0", "above zero"]),
        ({"base_rate": -3}, ["base_rate", "-3"]),
        ({"base_rate": float("nan")}, ["base_rate", "nan", "finite"]),
        ({"base_rate": float("inf")}, ["base_rate", "inf", "finite"]),
        ({"report_interval": 0.01}, ["report_interval", "100ms"]),
        ({"max_concurrent": 0}, ["max_concurrent", "0"]),
        ({"max_concurrent": -1}, ["max_concurrent", "-1"]),
        ({"timeout_seconds": 0}, ["timeout_seconds", "above zero"]),
        ({"timeout_seconds": -1}, ["timeout_seconds", "-1", "negative"]),
        ({"error_threshold": 1.5}, ["error_threshold", "1.5", "0% to 100%"]),
        ({"batch": 0}, ["batch", "0"]),
        ({"at_limit": "queue"}, ["at_limit", "'queue'", "'wait', 'drop'"]),
        ({"messages": "json"}, ["messages", "'json'", "'dict', 'bytes', 'str'"]),
        ({"plain_calls": "processes"}, ["plain_calls", "'processes'", "'threads', 'loop'"]),
        ({"symbols": 0}, ["symbols", "0", "10000"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"venue": "nasdaq"}, ["venue", "nasdaq", "binance"]),
        ({"thresholds": ["p99<fast"]}, ["thresholds", "p99<fast"]),
        ({"thresholds": ["p99<500"]}, ["thresholds", "p99<500ms"]),
        ({"settings": {"speed": 3}}, ["settings['speed']", "no such setting", "base_rate"]),
        ({"settings": {"zipf": 7}}, ["settings['zipf']", "7"]),
        ({"settings": {"base_rate": 7}}, ["settings['base_rate']", "argument base_rate"]),
        ({"settings": {"error-threshold": 1}}, ["settings['error-threshold']", "argument error_threshold"]),
        ({"settings": {"timeout": "1s"}}, ["settings['timeout']", "argument timeout_seconds"]),
        ({"settings": {"duration": "1s"}}, ["settings['duration']", "run_load_test"]),
        ({"settings": {"multiplier": 2}}, ["settings['multiplier']", "run_load_test"]),
        ({"settings": {"profile": "SPIKE"}}, ["settings['profile']", "run_load_test"]),
        ({"settings": {"stages": "1s:1x"}}, ["settings['stages']", "run_load_test"]),
        ({"settings": {"ack": "fifo"}}, ["ack", "called target"]),
    ],
)
def test_wrong_values(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        LoadGenerator(target, **options)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TickstormError)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target_system": 3}, ["target_system", "3", "int", "callable or the address"]),
        ({"base_rate": "100"}, ["base_rate", "'100'", "str", "a number"]),
        ({"base_rate": True}, ["base_rate", "True", "a number"]),
        ({"report_interval": None}, ["report_interval", "None"]),
        ({"max_concurrent": 10.0}, ["max_concurrent", "10.0", "a whole number"]),
        ({"timeout_seconds": "5s"}, ["timeout_seconds", "'5s'"]),
        ({"error_threshold": []}, ["error_threshold", "[]"]),
        ({"batch": "2"}, ["batch", "'2'"]),
        ({"venue": 5}, ["venue", "5", "text"]),
        ({"at_limit": None}, ["at_limit", "None", "text"]),
        ({"thresholds": "p99<50ms"}, ["thresholds", "'p99<50ms'", "['p99<50ms']"]),
        ({"thresholds": [3]}, ["thresholds", "3"]),
        ({"thresholds": None}, ["thresholds", "None", "several texts"]),
        ({"thresholds": 5}, ["thresholds", "5", "several texts"]),
        ({"progress": 1}, ["progress", "1"]),
        ({"settings": ["zipf"]}, ["settings", "mapping"]),
        ({"settings": {"zipf": None}}, ["settings['zipf']", "None"]),
    ],
)
def test_wrong_types(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        LoadGenerator(**{"target_system": target, **options})
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def generator(msg: Any) -> Any:
    yield msg


async def asynchronous_generator(msg: Any) -> Any:
    yield msg


class Consumer:
    async def __call__(self, msg: Any) -> None:
        raise AssertionError("nothing runs")


class Feed:
    async def __call__(self, msg: Any) -> Any:
        yield msg


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (generator, ["generator", "`yield`"]),
        (functools.partial(generator), ["generator", "`yield`"]),
        (asynchronous_generator, ["asynchronous_generator", "`yield`"]),
        (Feed(), ["Feed", "`yield`"]),
        (Consumer, ["Consumer", "a class"]),
    ],
)
def test_targets_that_would_never_run(target: Any, words: list[str]) -> None:
    with pytest.raises(TypeError, match="^target_system ") as caught:
        LoadGenerator(target)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert LoadGenerator(Consumer()).settings()["target"] == "call"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((0, 1), ValueError, ["duration_seconds"]),
        ((-1, 1), ValueError, ["duration_seconds", "-1"]),
        (("60", 1), TypeError, ["duration_seconds", "'60'"]),
        ((1e7, 1), ValueError, ["duration", "30d", "10000000s"]),
        ((1, 0), ValueError, ["multiplier", "0", "above zero"]),
        ((1, -2), ValueError, ["multiplier", "-2"]),
        ((1, None), TypeError, ["multiplier", "None"]),
        ((1, 1, "CALM"), ValueError, ["profile", "CALM", "NORMAL"]),
        ((1, 1, 5), TypeError, ["profile", "5"]),
        ((1, 1, "10s:1x"), ValueError, ["stages", "10s"]),
    ],
)
def test_wrong_arguments_of_a_run(arguments: tuple[Any, ...], kind: type[Exception], words: list[str]) -> None:
    generator = LoadGenerator(target, progress=False)
    with pytest.raises(kind) as caught:
        asyncio.run(generator.run_load_test(*arguments))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert not generator.running


@pytest.mark.parametrize(
    ("make", "name", "argument"),
    [
        (WebSocketMessageGenerator, "base_rate", "rate"),
        (WebSocketMessageGenerator, "seed", "seed"),
        (MockExchange, "seed", "seed"),
        (MockExchange, "duration", "duration_seconds"),
        (MockExchange, "stages", "profile"),
    ],
)
def test_settings_that_are_arguments_are_refused(make: Any, name: str, argument: str) -> None:
    with pytest.raises(SettingError, match=rf"^settings\['{name}'\]: there is the argument {argument} for it"):
        make(settings={name: "1"})


def test_several_mistakes_of_one_kind_are_all_named() -> None:
    with pytest.raises(SettingError) as caught:
        LoadGenerator(target, settings={"crash-depth": 0.1, "crash-halt": "1s"})
    assert "crash-depth" in str(caught.value) and "crash-halt" in str(caught.value)


def test_addresses() -> None:
    with pytest.raises(SettingError, match="target_system.*localhost:9000"):
        LoadGenerator("localhost:9000")
    with pytest.raises(SettingError, match="^target_system: .*'allow_public_target': True"):
        LoadGenerator("ws://8.8.8.8:80/")
    assert LoadGenerator("ws://8.8.8.8:80/", settings={"allow_public_target": True}).settings()["target"]


def test_lengths_of_time_may_be_timedeltas() -> None:
    generator = LoadGenerator(target, timeout_seconds=timedelta(milliseconds=250))
    assert generator.settings()["timeout"] == "250ms"


def test_a_third_is_as_good_a_rate_as_any() -> None:
    assert LoadGenerator(target, base_rate=100 / 3).settings()["base-rate"] == "33.333333/s"
    with pytest.raises(SettingError, match="base_rate.*1e-09"):
        LoadGenerator(target, base_rate=1e-9)


def test_there_is_no_report_before_the_first_run() -> None:
    with pytest.raises(RunError, match="no run of this generator has ended"):
        LoadGenerator(target).get_report()


def test_a_loop_of_its_own_is_not_to_be_had_where_one_runs() -> None:
    async def main() -> None:
        with pytest.raises(RunError, match=r"`await` run_load_test\(...\)"):
            LoadGenerator(target, progress=False).run(1, 1)

    asyncio.run(main())


def test_profiles() -> None:
    assert [profile.name for profile in LoadProfile] == ["NORMAL", "VOLATILE", "SPIKE", "RAMP_UP", "RAMP_DOWN"]
    assert LoadProfile["RAMP_UP"] == LoadProfile.RAMP_UP == LoadProfile("ramp-up")
    assert LoadProfile.spike(peak=20, period=5) == LoadProfile("SPIKE?peak=20x&period=5s")
    assert LoadProfile.stages("30s:1x, 10s:1x..8x") == LoadProfile.stages([(30, 1), (10, (1, 8))])
    assert "SPIKE" in LoadProfile and LoadProfile.SPIKE in LoadProfile
    assert "spike" not in LoadProfile and LoadProfile.spike(peak=20) not in LoadProfile and 5 not in LoadProfile
    assert repr(LoadProfile.SPIKE) == "LoadProfile.SPIKE"
    assert len({LoadProfile.NORMAL, LoadProfile("NORMAL")}) == 1
    mistakes: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: LoadProfile("CALM"), ValueError),
        (lambda: LoadProfile["CALM"], KeyError),
        (lambda: LoadProfile(3), TypeError),  # type: ignore[arg-type]
        (lambda: LoadProfile.spike(peak=-1), ValueError),
        (lambda: LoadProfile.spike(peak="20"), TypeError),  # type: ignore[arg-type]
        (lambda: LoadProfile.stages([]), ValueError),
        (lambda: LoadProfile.stages(5), TypeError),  # type: ignore[arg-type]
        (lambda: LoadProfile.stages("NORMAL"), ValueError),
        (lambda: LoadProfile.stages([(1, (1, 2, 3))]), ValueError),  # type: ignore[list-item]
        (lambda: LoadProfile.ramp_up(start=5, end=1), ValueError),
        (lambda: setattr(LoadProfile.NORMAL, "name", "x"), AttributeError),
    ]
    for wrong, kind in mistakes:
        with pytest.raises(kind):
            wrong()


def test_message_generators() -> None:
    mistakes: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"seed": "1"}, TypeError),
        ({"symbols": 0}, ValueError),
        ({"venue": "nasdaq"}, ValueError),
        ({"messages": "xml"}, ValueError),
        ({"rate": 0}, ValueError),
        ({"paced": "yes"}, TypeError),
    ]
    for options, kind in mistakes:
        with pytest.raises(kind):
            WebSocketMessageGenerator(**options)
    with pytest.raises(ValueError, match="-1"):
        WebSocketMessageGenerator().take(-1)


def test_streams() -> None:
    with pytest.raises(CheckError, match="is empty"):
        check(b"")
    with pytest.raises(CheckError, match="unpack it first"):
        check(b"\x1f\x8b\x08\x00")
    with pytest.raises(FileNotFoundError) as caught:
        check("/no/such/file")
    assert (caught.value.filename, caught.value.errno) == ("/no/such/file", errno.ENOENT)
    assert "[Errno 2] No such file or directory: '/no/such/file'" in str(caught.value) or sys.platform == "win32"
    with pytest.raises(TypeError, match="source"):
        check(3)  # type: ignore[arg-type]
    with pytest.raises(CheckError, match="venue.*nasdaq"):
        check(b"{}", venue="nasdaq")
