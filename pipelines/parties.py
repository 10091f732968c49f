"""Who talks to whom on a call."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Parties:
    """Who calls whom, as the carrier's webhook said; E.164 numbers or SIP URIs.

    Attributes:
        caller: The calling party.
        called: The called party.
        direction: ``inbound`` or ``outbound``.
    """

    caller: str = field(default="", repr=False)
    called: str = field(default="", repr=False)
    direction: str = "inbound"
