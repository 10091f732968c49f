"""The figures of a run, and the ratios that are its point. No I/O."""

import functools
import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from an_hour import Hour
from capacity import Capacity
from loading import Measured
from observed import median
from resampling import filter_delay_ms

FLAT_MB = 0.5
"""What an hour's conversation may add: its words, which a session that takes over is told, and no audio."""


@dataclass(frozen=True)
class Result:
    """One measurement of one system, from its start.

    Attributes:
        system: Its name.
        started_s: How long it took to answer on its port.
        idle_mb: Its memory (RSS) before the first call.
        mb_per_call: What each call added.
        allocations: Allocations for each frame of a caller's, of any kind; None when they were not counted.
        many: With 100 calls, or with as many as it carries.
        cut_in: The same while callers cut in.
    """

    system: str
    started_s: float
    idle_mb: float
    mb_per_call: float
    allocations: float | None
    many: Measured
    cut_in: Measured

    def told(self) -> dict[str, Any]:
        """Return it as JSON can tell it."""
        return {
            "started_s": self.started_s,
            "idle_mb": self.idle_mb,
            "mb_per_call": self.mb_per_call,
            "allocations_per_frame": self.allocations,
            "many": self.many.told(),
            "cut_in": self.cut_in.told(),
        }


@dataclass(frozen=True)
class Claim:
    """Something a run is to show.

    Attributes:
        what: In words.
        value: What was measured; infinite or not a number where it could not be.
        bound: What it is held against.
        at_least: Whether the bound is the least, not the most.
    """

    what: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value keeps the bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Results:
    """Every figure of a run.

    Attributes:
        systems: The systems' names, in order.
        capacities: How many calls each carries; empty when that was not searched.
        plain: Each system's measurements, one for each round.
        tls: The same with TLS on the model's socket.
        hours: What an hour's call came to, for callpipe's variants.
    """

    systems: list[str]
    capacities: dict[str, Capacity] = field(default_factory=dict[str, Capacity])
    plain: dict[str, list[Result]] = field(default_factory=dict[str, list[Result]])
    tls: dict[str, list[Result]] = field(default_factory=dict[str, list[Result]])
    hours: dict[str, Hour] = field(default_factory=dict[str, Hour])

    def __post_init__(self) -> None:
        for name in self.systems:
            self.plain[name], self.tls[name] = [], []

    def most_calls(self, system: str, guess: int) -> int:
        """Return how many calls a system carries, or the guess where that was not searched."""
        capacity = self.capacities.get(system)
        return guess if capacity is None else capacity.calls

    def figure(self, system: str, of: Callable[[Result], float | None], *, tls: bool = False) -> float:
        """Return the median of a figure over all rounds; not a number where nothing was measured."""
        values = [of(result) for result in (self.tls if tls else self.plain).get(system, [])]
        known = [value for value in values if value is not None]
        return median(known) if known else math.nan

    def cpu(self, system: str, *, tls: bool = False) -> float:
        """Return the CPU time for a call and second, in ms, at 100 calls or the system's own limit."""
        return self.figure(system, lambda result: result.many.cpu_ms, tls=tls)

    def cpu_at_limit(self, system: str) -> float:
        """Return the same at the most calls a core carries; not a number where that was not searched."""
        capacity = self.capacities.get(system)
        return math.nan if capacity is None or capacity.there is None else capacity.there.cpu_ms

    def calls(self, system: str) -> float:
        """Return how many calls a core carries; not a number where that was not searched."""
        capacity = self.capacities.get(system)
        return math.nan if capacity is None else float(capacity.calls)

    def others_busy(self) -> float:
        """Return what processes that are not measured took, in cores: the median over all measurements."""
        return median([measured.others_busy for measured in self._all_measured()])

    def stolen(self) -> float:
        """Return what the host's other guests took, in cores: the most in any measurement."""
        return max((measured.stolen for measured in self._all_measured()), default=0.0)

    def _all_measured(self) -> list[Measured]:
        every_round = (*self.plain.values(), *self.tls.values())
        return [result.many for rounds in every_round for result in rounds]

    def claims(self, *, tls: bool = False) -> list[Claim]:
        """Return what the run is to show, with what it shows."""
        stock, bridge, passed, transcoded = (
            "stock pipecat", "bare bridge", "callpipe pass-through", "callpipe transcoding",
        )  # fmt: skip
        floor = min(
            (name for name in self.systems if name.startswith("floor")), key=self._cpu_or_inf, default=""
        )

        def of_cpu(what: str, cpu: Callable[[str], float]) -> list[Claim]:
            return [
                Claim(f"{what}, pass-through against stock: at most 1/12", cpu(passed) / cpu(stock), 1 / 12),
                Claim(f"{what}, pass-through against the fastest floor", cpu(passed) / cpu(floor), 2.5),
                Claim(f"{what}, transcoding against stock: at most 1/7", cpu(transcoded) / cpu(stock), 1 / 7),
            ]

        claims = [
            *of_cpu("CPU", functools.partial(self.cpu, tls=tls)),
            Claim("added delay, pass-through, slower way, p50 in ms", self._delay(passed, "p50", tls), 0.6),
            Claim("added delay, pass-through, slower way, p99 in ms", self._delay(passed, "p99", tls), 5.0),
            Claim("barge-in to clear, pass-through, p99 in ms", self._clear(passed, tls), 2.0),
            Claim("barge-in to clear, transcoding, p99 in ms", self._clear(transcoded, tls), 2.0),
            Claim("delay of transcoding's filters, each direction, in ms", filter_delay_ms(), 3.0),
            Claim("memory for each call in MB", self._memory(passed, transcoded, tls), 0.5),
        ]
        if not tls:
            claims += [
                Claim(
                    f"{name}, MB that an hour's call adds after 10 minutes",
                    hour.growth_kb / 1000,
                    FLAT_MB,
                )
                for name, hour in self.hours.items()
            ]
        if self.capacities and not tls:
            carried = self.calls(passed)
            claims[:0] = [
                Claim("calls per core, pass-through against stock", carried / self.calls(stock), 15, True),
                Claim(
                    "calls per core, pass-through against the bare bridge",
                    carried / self.calls(bridge),
                    1,
                    True,
                ),
                Claim(
                    "calls per core, transcoding against stock",
                    self.calls(transcoded) / self.calls(stock),
                    8,
                    True,
                ),
                *of_cpu("CPU, each at its own limit", self.cpu_at_limit),
            ]
        return claims

    def told(self) -> dict[str, Any]:
        """Return everything as JSON can tell it, the ratios first."""
        return {
            "machine": {"cpu": platform.processor() or platform.machine(), "python": sys.version},
            "shows": self._told_claims(self.claims()),
            "shows_with_tls": self._told_claims(self.claims(tls=True)),
            "calls_per_core": {
                name: {
                    "calls": capacity.calls,
                    "at_least": capacity.at_least,
                    "there": capacity.there and capacity.there.told(),
                }
                for name, capacity in self.capacities.items()
            },
            "an_hours_call": {name: asdict(hour) for name, hour in self.hours.items()},
            "rounds": {name: [result.told() for result in self.plain[name]] for name in self.systems},
            "rounds_with_tls": {name: [result.told() for result in self.tls[name]] for name in self.systems},
        }

    def _told_claims(self, claims: Sequence[Claim]) -> list[dict[str, Any]]:
        return [
            {
                "what": claim.what,
                "value": claim.value if math.isfinite(claim.value) else None,
                "bound": claim.bound,
                "holds": claim.holds,
            }
            for claim in claims
        ]

    def _cpu_or_inf(self, system: str) -> float:
        cpu = self.cpu(system)
        return cpu if math.isfinite(cpu) else math.inf

    def _delay(self, system: str, quantile: str, tls: bool) -> float:
        """Return the added delay of the slower of both ways."""

        def slower(result: Result) -> float:
            return max(getattr(result.many, f"{way}_{quantile}_ms") for way in ("in", "out"))

        return self.figure(system, slower, tls=tls)

    def _clear(self, system: str, tls: bool) -> float:
        return self.figure(system, lambda result: result.cut_in.clear_p99_ms, tls=tls)

    def _memory(self, first: str, second: str, tls: bool) -> float:
        return max(self.figure(name, lambda result: result.mb_per_call, tls=tls) for name in (first, second))
