"""The result of a run."""

from __future__ import annotations

import json
from typing import Any


class Report(dict[str, Any]):
    """The result of a run, as a dict with the keys of the JSON report; ``schema/report-1.schema.json`` of the source
    describes them. Latencies are in milliseconds, rates in messages per second. A figure that nobody knows is ``None``.
    """

    def __init__(self, text: str, summary: str = "") -> None:
        super().__init__(json.loads(text))
        self._text = text
        self._summary = summary

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE``."""
        return str(self["verdict"]["outcome"])

    @property
    def passed(self) -> bool:
        """Whether every threshold was held, with evidence."""
        return self.verdict == "PASS"

    def to_dict(self) -> dict[str, Any]:
        """A plain dict of plain values, a copy."""
        copy: dict[str, Any] = json.loads(self._text)
        return copy

    def to_json(self) -> str:
        """The report as the program writes it, indented."""
        return self._text

    def summary(self) -> str:
        """The report as a person reads it, without colours."""
        return self._summary

    def __repr__(self) -> str:
        return (
            f"<Report {self.verdict}: {self['total_messages']} messages, {self['messages_failed']} failed,"
            f" P99 {self['p99_latency_ms']} ms>"
        )
