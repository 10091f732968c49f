"""A number of calls on one system, kept up, and one measurement of them after another."""

import asyncio
import functools
import gc
import itertools
import math
import os
import ssl
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import measured_system
from calls import BenchCall
from measured_system import Dial, Running, System, everybodys_cpu_s, plain_dial, stolen_s, webhook_dial
from observed import Observed, median, quantile
from talking_model import ModelLeg, serve_model
from wheel import Wheel

GRACE_S = 1.0
"""Audio sent in a measurement may come this much later than its end."""
DIALLING = 8
"""Calls that are set up at a time."""
QUIET_MS = 4.0
"""A load whose slots are this late (99th percentile) was kept waiting by its host."""
MOST_TRIES = 3
CAUGHT_UP_S = 1.0
"""A garbage collection holds the load up: what it sends late in a burst is no part of a measurement."""
BUSY_LOAD = 0.85
"""A load that needs more than this of its core is at its own limit."""


@dataclass(frozen=True)
class Measured:
    """One measurement. Times in ms.

    Attributes:
        calls: Calls during it.
        cpu_ms: CPU time of the system per call and second.
        in_p50_ms: From a caller's frame sent until the model holds all of it; also its 99th percentile.
        out_p50_ms: From a delta sent until the carrier holds its first byte; also its 99th percentile.
        fastest_ms: The fastest frame of the slowest call.
        clear_p50_ms: From `speech_started` sent until the carrier is told to clear; also its 99th percentile.
        unclear: Barge-ins without a clear.
        lost: Frames and deltas that never came, and calls the system gave up.
        resident_mb: Memory of the system's process (RSS) at the end.
        load_busy: CPU of the load's own process, as a part of its core.
        load_late_ms: How late the load's slots were, 99th percentile.
        others_busy: What processes that are not measured took of the two cores, in cores.
        stolen: What other guests of the host took of them, in cores: such a pause makes late what is measured.
    """

    calls: int
    cpu_ms: float
    in_p50_ms: float
    in_p99_ms: float
    out_p50_ms: float
    out_p99_ms: float
    fastest_ms: float
    clear_p50_ms: float
    clear_p99_ms: float
    unclear: int
    lost: int
    resident_mb: float
    load_busy: float
    load_late_ms: float
    others_busy: float
    stolen: float

    @property
    def load_at_its_limit(self) -> bool:
        """Whether the load, not the system, set the bound."""
        return self.load_busy > BUSY_LOAD

    def told(self) -> dict[str, Any]:
        """Return it as JSON can tell it."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


class Load:
    """Both ends of the calls on one system.

    Args:
        system: The system, which `open` starts.
        core: The core it runs on.
        tls: For the model's socket.
        certificate: The file of the authority that signed the model's certificate.
    """

    def __init__(
        self, system: System, core: int, *, tls: ssl.SSLContext | None = None, certificate: str | None = None
    ) -> None:
        self.system = system
        self._core = core
        self._tls = tls
        self._environment = {"SSL_CERT_FILE": certificate} if certificate else {}
        self._observed = Observed(since=math.inf)
        self._numbers = itertools.count(1)
        self._calls: list[BenchCall] = []
        self._expected: dict[int, BenchCall] = {}
        self._http = httpx.AsyncClient(timeout=20)
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")

    async def __aenter__(self) -> "Load":
        self._wheel = Wheel()
        self._server, model_url = await serve_model(self._joined, self._tls)
        self.running: Running = await measured_system.start(
            self.system, model_url, self._core, self._folder.name, self._environment
        )
        self._dial: Dial = plain_dial(self.running.port)
        if "bot" in self.system.script:
            self._dial = webhook_dial(self.running.port, self._http)
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self._calls:
            call.leave(self._wheel)
        await self.running.stop()
        self._wheel.stop()
        await asyncio.to_thread(self._folder.cleanup)
        await self._http.aclose()

    async def hold(self, calls: int) -> None:
        """Bring the number of calls up or down.

        Raises:
            TimeoutError: The system does not take so many.
        """
        while len(self._calls) > calls:
            leaving = [self._calls.pop() for _ in range(min(DIALLING, len(self._calls) - calls))]
            await asyncio.gather(*(call.close(self._wheel) for call in leaving))
        while len(self._calls) < calls:
            await asyncio.gather(*(self._add() for _ in range(min(DIALLING, calls - len(self._calls)))))

    async def measure_in_quiet(self, seconds: float, *, interrupts: bool = False) -> Measured:
        """Measure the calls while the load itself is on time: a pause of the host is no system's doing.

        Of measurements that are all late the one is told that was the least.
        """
        measurements: list[Measured] = []
        while len(measurements) < MOST_TRIES:
            measurements.append(await self.measure(seconds, interrupts=interrupts))
            if measurements[-1].load_late_ms <= QUIET_MS or measurements[-1].load_at_its_limit:
                return measurements[-1]
        return min(measurements, key=lambda measured: measured.load_late_ms)

    async def measure(self, seconds: float, *, interrupts: bool = False) -> Measured:
        """Measure the calls that are held for a time.

        Args:
            seconds: For how long.
            interrupts: Whether the callers cut in, once in every turn.
        """
        for call in self._calls:
            call.interrupts(interrupts)
        gc.collect()
        gc.disable()
        await asyncio.sleep(CAUGHT_UP_S)
        self._wheel.lateness_s.clear()
        observed = self._observed = Observed(since=time.monotonic())
        used_before = self._cpu_s()
        await asyncio.sleep(seconds)
        observed.until = time.monotonic()
        used = [now - before for before, now in zip(used_before, self._cpu_s(), strict=True)]
        lateness_s = list(self._wheel.lateness_s)
        await asyncio.sleep(GRACE_S)
        gc.enable()
        self._observed = Observed(since=math.inf)
        lasted_s = observed.until - observed.since
        return self._measured(observed, [cpu_s / lasted_s for cpu_s in used], lateness_s)

    def _cpu_s(self) -> tuple[float, float, float, float]:
        """Return the CPU time so far of the system, the load and everybody, and what was stolen."""
        return self.running.cpu_s(), time.process_time(), everybodys_cpu_s(cores()), stolen_s(cores())

    def _measured(self, seen: Observed, busy: list[float], lateness_s: list[float]) -> Measured:
        system_busy, load_busy, everybody_busy, stolen = busy
        in_s, out_s, clear_s = seen.to_model_s, seen.to_carrier_s, seen.to_clear_s
        cut_off = seen.barge_ins  # the delta after which a caller cuts in may be cleared before it is sent
        missing = max(0, seen.frames - len(in_s)) + max(0, seen.deltas - len(out_s) - cut_off)
        return Measured(
            calls=len(self._calls),
            cpu_ms=system_busy * 1000 / max(1, len(self._calls)),
            in_p50_ms=median(in_s) * 1000,
            in_p99_ms=quantile(in_s, 0.99) * 1000,
            out_p50_ms=median(out_s) * 1000,
            out_p99_ms=quantile(out_s, 0.99) * 1000,
            fastest_ms=max(seen.fastest_s.values(), default=math.inf) * 1000,
            clear_p50_ms=median(clear_s) * 1000,
            clear_p99_ms=quantile(clear_s, 0.99) * 1000,
            unclear=seen.barge_ins - len(clear_s),
            lost=missing + sum(call.broken for call in self._calls),
            resident_mb=self.running.resident_mb(),
            load_busy=load_busy,
            load_late_ms=quantile(lateness_s, 0.99) * 1000,
            others_busy=max(0.0, everybody_busy - system_busy - load_busy),
            stolen=stolen,
        )

    async def _add(self) -> None:
        call = BenchCall(next(self._numbers), lambda: self._observed)
        self._expected[call.number] = call
        try:
            await call.open(await self._dial(call.number))
        finally:
            del self._expected[call.number]
        call.start(self._wheel)
        self._calls.append(call)

    def _joined(self, number: int, model: ModelLeg) -> None:
        call = self._expected.get(number)
        if call is not None:
            call.joined(model)


@functools.cache
def cores() -> tuple[int, int]:
    """Return the core of the load and the core of the system, as they were when first asked.

    Raises:
        RuntimeError: There is only one.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise RuntimeError("the benchmark needs two cores: one for the load, one for the measured system")
    return available[0], available[1]
