"""Whether a recorded stream is what it should be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

from . import _tickstorm
from ._errors import CheckError
from ._settings import more, wrong_type


class CheckReport(dict[str, Any]):
    """What a check found, as ``tickstorm check --json`` writes it."""

    @property
    def passed(self) -> bool:
        """Whether no fault was found, and no figure outside its band."""
        return bool(self["verdict"] == "PASS")

    @property
    def faults(self) -> list[dict[str, Any]]:
        """The first faults: ``line``, ``kind`` and ``text`` of each."""
        first: list[dict[str, Any]] = self["faults"]["first"]
        return first


def check(
    source: str | os.PathLike[str] | bytes | bytearray | BinaryIO,
    *,
    venue: str | None = None,
    cadence: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> CheckReport:
    """Checks a recorded stream: complete, consistent in itself, and like a market's.

    ``source`` is the path of a file, the bytes themselves, or a binary file, which is read to its end. ``venue`` and
    ``cadence`` (``"realtime"`` or ``"venue"``) are found out where they are not given. With the ``settings`` of the run
    that it is a stream of, its figures are judged too.

    Raises :class:`CheckError` for what is no stream, and ``OSError`` for a file that cannot be read. Faults of a stream
    are in the report.
    """
    path: str | None = None
    data: bytes | None = None
    if isinstance(source, (bytes, bytearray)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
    elif hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise wrong_type("source", source, "a file opened in binary mode")
    else:
        raise wrong_type("source", source, "a path, bytes or a binary file")
    for argument, value in (("venue", venue), ("cadence", cadence)):
        if value is not None and not isinstance(value, str):
            raise wrong_type(argument, value, "text")
    try:
        found = _tickstorm.check(path, data, venue, cadence, more(settings, {}))
    except ValueError as error:
        raise CheckError(str(error)) from None
    return CheckReport(json.loads(found))
