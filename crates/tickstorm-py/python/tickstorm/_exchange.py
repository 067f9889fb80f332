"""A mock exchange for clients of the venues."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from . import _tickstorm
from ._errors import AlreadyRunning, RunError, SettingError
from ._generator import PATIENCE, under_way
from ._profile import LoadProfile
from ._report import Report
from ._settings import Settings, arguments_of, checked, more, number, one_of, plain, seconds, texts, whole, wrong_type
from ._tickstorm import Metrics


class MockExchange:
    """An exchange on this machine that unmodified clients of Binance, Bybit, Coinbase, Kraken and OKX connect to: HTTP and
    WebSockets on one port, public and private, over one market. It storms whoever subscribes, and reports how each client
    kept up.

    ::

        async with MockExchange(symbols=20, multiplier=50, duration_seconds=10, clients=1) as exchange:
            client = MyClient(ws=exchange.ws_url("binance", "/ws"), rest=exchange.rest_url("binance"))
            task = asyncio.create_task(client.run())
            report = await exchange.finished()
            task.cancel()
        assert report.passed, report.summary()

    Its doors are open inside the block. Clients can ask, subscribe and get snapshots at once; the market stands still until
    ``clients`` of them have a subscription. Leaving the block stops what is left of the run, as :meth:`stop` does, and
    waits for the end; with an exception it ends at once. No thread and no socket is left. An exchange can be opened again,
    and starts anew. Everything runs in threads of the engine's, without the interpreter.

    :param symbols: instruments in the market, 1 to 10,000.
    :param base_rate: messages of the market per second at multiplier 1, over all symbols, above zero.
    :param multiplier: what the base rate is multiplied by, above zero.
    :param duration_seconds: length of the measured phase, by default 60, or that of the profile's stages.
    :param profile: how the rate changes, a :class:`LoadProfile` or its text.
    :param cadence: ``"venue"``, batches in each venue's rhythm, or ``"realtime"``, each event at once.
    :param seed: the market and the load follow from it.
    :param clients: clients to wait for before the clock starts; 0 starts it at once.
    :param wait_for_seconds: how long to wait for them; by default as long as it takes.
    :param api_keys: keys that open accounts, as ``"binance:KEY:SECRET"``, with ``:PASSPHRASE`` (OKX) and ``@ACCOUNT``
        (a whole number, by default 0) behind it where wanted.
    :param tls: whether TLS is spoken on the port, beside plain text, by a test authority made for this one opening; host
        names instead of a bool are put into its certificate beside ``localhost``.
    :param listen: an address and a port; port 0 is any free one.
    :param listen_public: allows an address that other machines can reach.
    :param slow_client: what happens to a client with more waiting than ``client_queue_bytes``: ``"disconnect"``,
        ``"conflate"`` or ``"drop"``.
    :param client_queue_bytes: what may wait for a client, 64 KiB to 16 GiB.
    :param limits: what clients may ask: ``"off"`` (everything), ``"venue"`` (what each venue allows) or ``"strict"``.
    :param venue_options: which form of a venue's wire is spoken, by name, as ``tickstorm serve --help`` lists them.
    :param ping_probes: whether ten pings a second tell how far behind a client's reader is.
    :param silence_seconds: how long at most clients are watched at the end until they rest; 0 not at all.
    :param warmup_seconds: a phase at the base rate before, which enters no figure.
    :param error_threshold: share of messages that were dropped or lost, 0 to 1, above which a run fails.
    :param thresholds: further limits, as ``"age<500ms"``.
    :param settings: further settings by their names on the command line, as ``{"scenario": "flash-crash"}``.

    Raises ``TypeError`` or :class:`SettingError` (a ``ValueError``) for a wrong argument; entering the block raises
    :class:`RunError` if it cannot listen there or a key cannot be used, and :class:`AlreadyRunning` inside its own block.
    """

    def __init__(
        self,
        *,
        symbols: int = 100,
        base_rate: float = 100,
        multiplier: float = 10,
        duration_seconds: float | timedelta | None = None,
        profile: LoadProfile | str = LoadProfile.NORMAL,
        cadence: str = "venue",
        seed: int = 1,
        clients: int = 1,
        wait_for_seconds: float | timedelta | None = None,
        api_keys: Iterable[str] = (),
        tls: bool | Iterable[str] = False,
        listen: str = "127.0.0.1:0",
        listen_public: bool = False,
        slow_client: str = "disconnect",
        client_queue_bytes: int = 64 << 20,
        limits: str = "off",
        venue_options: Mapping[str, str] | None = None,
        ping_probes: bool = True,
        silence_seconds: float | timedelta = 10,
        warmup_seconds: float | timedelta = 0,
        error_threshold: float = 0.01,
        thresholds: Iterable[str] = (),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        form = LoadProfile(profile).value
        load: Settings = [
            ("symbols", "symbols", str(whole("symbols", symbols))),
            ("base_rate", "base-rate", plain(number("base_rate", base_rate))),
            ("multiplier", "multiplier", plain(number("multiplier", multiplier))),
            ("profile", "stages" if ":" in form else "profile", form),
            ("seed", "seed", str(whole("seed", seed))),
            ("warmup_seconds", "warmup", seconds("warmup_seconds", warmup_seconds)),
            ("error_threshold", "error-threshold", plain(number("error_threshold", error_threshold), decimals=12)),
        ]
        of_any_length = [("duration_seconds", "duration", ""), ("profile", "profile", ""), ("profile", "stages", "")]
        own = arguments_of(load + of_any_length)
        if duration_seconds is not None:
            load.append(("duration_seconds", "duration", seconds("duration_seconds", duration_seconds)))
        load += [("thresholds", "threshold", each) for each in texts("thresholds", thresholds, "['age<500ms']")]
        load += more(settings, own)
        doors: Settings = [
            ("listen", "listen", _text("listen", listen)),
            ("listen_public", "listen-public", "true" if _flag("listen_public", listen_public) else "false"),
            ("clients", "clients", str(whole("clients", clients))),
            ("slow_client", "slow-client", one_of("slow_client", slow_client, ("disconnect", "conflate", "drop"))),
            ("client_queue_bytes", "client-queue", str(whole("client_queue_bytes", client_queue_bytes))),
            ("cadence", "cadence", one_of("cadence", cadence, ("venue", "realtime"))),
            ("limits", "limits", one_of("limits", limits, ("off", "venue", "strict"))),
            ("ping_probes", "ping-probes", "on" if _flag("ping_probes", ping_probes) else "off"),
            ("silence_seconds", "silence", seconds("silence_seconds", silence_seconds)),
        ]
        if wait_for_seconds is not None:
            doors.append(("wait_for_seconds", "wait-for", seconds("wait_for_seconds", wait_for_seconds)))
        if tls is True:
            doors.append(("tls", "tls", "true"))
        elif tls is not False:
            names = texts("tls", tls, "['stream.binance.com'], or a bool")
            if not names:
                raise SettingError("tls must be at least one host name, or a bool, got none")
            doors += [("tls", "tls-name", name) for name in names]
        if isinstance(api_keys, str) or not isinstance(api_keys, Iterable):
            kind = "one text" if isinstance(api_keys, str) else f"one of type {type(api_keys).__name__}"
            raise TypeError(f"api_keys must be several texts, as ['binance:KEY:SECRET'], got {kind}")
        for index, key in enumerate(api_keys):
            argument = f"api_keys[{index}]"
            if not isinstance(key, str):
                # Whatever it is, it may hold a secret.
                raise TypeError(f"{argument} must be text, as 'binance:KEY:SECRET', got one of type {type(key).__name__}")
            doors.append((argument, "api-key", key))
        if venue_options is not None and not isinstance(venue_options, Mapping):
            raise wrong_type("venue_options", venue_options, "a mapping of names to values")
        for name, value in (venue_options or {}).items():
            argument = f"venue_options[{name!r}]"
            doors.append((argument, "venue-option", f"{_text('venue_options', name)}={_text(argument, value)}"))
        self._has_tls = tls is not False
        self._exchange = checked(lambda: _tickstorm.Exchange(load, doors))
        self._serving: _tickstorm.Serving | None = None
        self._is_open = False
        self._over: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise AlreadyRunning("this exchange is open already: leave its block, or make a second one")
        loop = asyncio.get_running_loop()
        opened, over = loop.create_future(), loop.create_future()

        def look() -> None:
            if not opened.done():
                opened.set_result(None)
            if serving.running.result() is not None and not over.done():
                over.set_result(None)

        serving = self._exchange.open(loop.call_soon_threadsafe, look)
        self._serving, self._over, self._is_open = serving, over, True
        under_way.add(serving.running)
        try:
            await asyncio.shield(opened)
        except asyncio.CancelledError:
            await self._end()
            raise
        if serving.address is None:
            await self._end()
            raise RunError(self._problem() or _NO_REPORT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._over is not None:
            self.stop()
            try:
                await asyncio.shield(self._over)
            except asyncio.CancelledError:
                await self._end()
                raise
        await self._end()

    async def _end(self) -> None:
        """Ends the run at once, where there still is one, and waits for its threads."""
        running = self._opened().running
        running.abort()
        try:
            if self._over is not None:
                await asyncio.wait([self._over], timeout=PATIENCE)
        finally:
            running.join()
            under_way.discard(running)
            self._is_open = False

    async def finished(self) -> Report:
        """Waits for the end of the run, and returns its report. Cancelling it only ends the waiting.

        Raises :class:`RunError` if there is no report, because the clients that were waited for did not come in time or
        the run was stopped before they had.
        """
        if self._over is None:
            raise RunError(_NOT_OPEN)
        await asyncio.shield(self._over)
        return self.report

    def stop(self) -> None:
        """Lets nothing more fall due, or ends the waiting for clients. The run then ends with a report of what was
        measured, after the silence in which clients are watched until they rest. From any thread; without a run nothing
        happens."""
        if self._is_open:
            self._opened().running.stop()

    def abort(self) -> None:
        """Ends the run at once. From any thread; without a run nothing happens."""
        if self._is_open:
            self._opened().running.abort()

    @property
    def report(self) -> Report:
        """The report of the last run that ended; its ``["served"]`` tells of each client. Raises :class:`RunError` as
        :meth:`finished` does, and before the end."""
        running = self._opened().running
        result = running.result()
        if result is None:
            raise RunError("there is no report yet: await finished(), or leave the block" if self._is_open else _NO_REPORT)
        text, problem = result
        if text is None:
            raise RunError(problem)
        return Report(text, running.summary() or "")

    @property
    def metrics(self) -> Metrics:
        """The figures of the run under way, or else of the last one; all zero before the clients have come. A message
        counts once for each of its subscribers."""
        return Metrics() if self._serving is None else self._serving.running.metrics()

    @property
    def running(self) -> bool:
        """Whether it is open."""
        return self._is_open

    @property
    def clients_that_came(self) -> int:
        """How many clients with a subscription had come, when it last waited for them."""
        return self._opened().came

    @property
    def address(self) -> str:
        """Where it listens, as ``127.0.0.1:41234``. Raises :class:`RunError` if it was never opened."""
        address = self._opened().address
        if address is None:
            raise RunError(_NOT_OPEN)
        return address

    @property
    def ca_pem(self) -> str | None:
        """The certificate of the authority that TLS clients are to trust, as PEM: for
        ``ssl.create_default_context(cadata=...)``. ``None`` without ``tls``. Another one at each opening."""
        return self._opened().authority

    def ws_url(self, venue: str, path: str = "") -> str:
        """The address of a venue's socket: ``ws_url("binance", "/ws")``, by default the venue's usual one for public
        channels. ``wss://`` with ``tls``. Raises :class:`SettingError` for an unknown venue."""
        return self._url("ws", venue, path)

    def rest_url(self, venue: str, path: str = "") -> str:
        """The base address of a venue's HTTP interface, before its own paths, or that of a path:
        ``rest_url("okx", "/api/v5/public/time")``. ``https://`` with ``tls``. Raises :class:`SettingError` for an
        unknown venue."""
        return self._url("http", venue, path)

    def _url(self, scheme: str, venue: str, path: str) -> str:
        name = one_of("venue", venue, tuple(_tickstorm.venues()))
        own = _text("path", path)
        slash = "/" if own and not own.startswith("/") else ""
        return f"{scheme}{'s' if self._has_tls else ''}://{self.address}/{name}{slash}{own}"

    def settings(self) -> dict[str, str]:
        """Every setting of the load and the market with its value as text, by its name on the command line."""
        return dict(self._exchange.describe())

    def _opened(self) -> _tickstorm.Serving:
        if self._serving is None:
            raise RunError(_NOT_OPEN)
        return self._serving

    def _problem(self) -> str | None:
        result = self._opened().running.result()
        return None if result is None else result[1]

    def __repr__(self) -> str:
        address = self._serving.address if self._serving is not None and self._is_open else None
        return f"<MockExchange at {self.settings()['base-rate']}, {'closed' if address is None else f'on {address}'}>"


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    return value


def _flag(argument: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(argument, value, "a bool")
    return value


_NOT_OPEN = "the exchange was not opened: use it in `async with`"
_NO_REPORT = "the run ended without a report; what went wrong was printed"
