"""What a server counts, for Prometheus. Every label has few values, and none is of a caller."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ..admission import Refusal
from ..records.journal import CallFigures
from .service_status import ServiceStatus

REASONS = frozenset({
    "bot", "caller", "max duration", "bot failed", "stuck", "no media stream", "wrong media format",
    "never disconnected", "server stopped", "runner stopped", "runner died", "moved", "over",
    "hangup", "busy", "timeout", "cancel", "rejected", "callback-error", "invalid-bxml", "application-error",
    "account-limit", "node-capacity-exceeded", "error", "unknown",
})  # fmt: skip
"""Why calls end: our reasons, and the causes that Bandwidth documents. Every other is told as ``other``."""

WAITS_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Bounds for what a caller waits for."""

WEBHOOKS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Bounds for a webhook's answer; the carrier gives up after 15 s."""

CALLS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0)
"""Bounds for the length of a call."""


class Metrics:
    """A server's counters and histograms, from when it began. Any thread may add to them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._begun = self._counter("calls_begun", "Calls whose first webhook came", "bot")
        self._ended = self._counter("calls_ended", "Calls that are over", "bot", "reason")
        self._refused = self._counter("calls_refused", "Calls that were not taken", "bot", "why")
        self._resumed = self._counter("generations_resumed", "Media streams that followed a lost one", "bot")
        self._deaths = self._counter("runner_deaths", "Runner processes that died or were killed", "bot")
        self._turns = self._counter("turns", "Turns of callers, in calls that are over", "bot")
        self._barge_ins = self._counter("barge_ins", "Times that a caller cut in", "bot")
        self._tool_calls = self._counter("tool_calls", "Tools that were called", "bot")
        self._cost = self._counter("cost_usd", "What the model cost, in calls that are over", "bot")
        self._webhooks = self._histogram(
            "webhook", "How long webhooks waited", WEBHOOKS_S, "webhook", "outcome"
        )
        self._calls = self._histogram("call", "How long calls lasted", CALLS_S, "bot")
        self._responses = self._histogram(
            "response",
            "From the end of a caller's speech to the answer's first audio on the wire",
            WAITS_S,
            "bot",
        )
        self._turn_latency = self._histogram(
            "turn_latency", "From the end of a caller's speech until they hear the answer", WAITS_S, "bot"
        )

    def call_begun(self, bot: str) -> None:
        """Count a call's first webhook."""
        self._begun.labels(bot).inc()

    def call_ended(self, bot: str, reason: str) -> None:
        """Count a call that is over."""
        self._ended.labels(bot, reason if reason in REASONS else "other").inc()

    def call_refused(self, bot: str, why: Refusal) -> None:
        """Count a call that was not taken."""
        self._refused.labels(bot, why.value).inc()

    def generation_resumed(self, bot: str) -> None:
        """Count a media stream that follows a lost one."""
        self._resumed.labels(bot).inc()

    def runner_died(self, bot: str) -> None:
        """Count a runner process that is gone and was to stay."""
        self._deaths.labels(bot).inc()

    def webhook_answered(self, webhook: str, status: int, seconds: float) -> None:
        """Count a webhook, by its kind and its answer's HTTP status."""
        outcome = "answered" if status < 400 else "refused" if status < 500 else "failed"
        self._webhooks.labels(webhook, outcome).observe(seconds)

    def call_summed_up(self, bot: str, figures: CallFigures) -> None:
        """Add what the journal of a call that is over comes to."""
        self._calls.labels(bot).observe(figures.duration_s)
        self._turns.labels(bot).inc(figures.turns)
        self._barge_ins.labels(bot).inc(len(figures.barge_ins))
        self._tool_calls.labels(bot).inc(figures.tool_calls)
        self._cost.labels(bot).inc(figures.cost_usd)
        for response_ms in figures.response_ms:
            self._responses.labels(bot).observe(response_ms / 1000)
        for heard_ms in figures.heard_ms:
            self._turn_latency.labels(bot).observe(heard_ms / 1000)

    def text(self, status: ServiceStatus) -> bytes:
        """Return everything in Prometheus's text format. It blocks while it reads what this process uses.

        Args:
            status: How the server and its runners are now.
        """
        return generate_latest(self._registry) + generate_latest(_gauges(status))

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, namespace="callpipe", registry=self._registry)

    def _histogram(self, name: str, what: str, bounds: Sequence[float], *labels: str) -> Histogram:
        return Histogram(
            f"{name}_seconds", what, labels, namespace="callpipe", registry=self._registry, buckets=bounds
        )


def _gauges(status: ServiceStatus) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, namespace="callpipe", registry=registry)

    server = status.server
    gauge("build_info", "The release that answers", "version").labels(server.release).set(1)
    gauge("server_loop_lag_p99_seconds", "How late the server's event loop is").set(server.lag_p99_ms / 1000)
    gauge("server_draining", "Whether the server takes no further call").set(server.draining)
    gauge("calls", "Calls that have begun and not ended").set(server.calls)
    ready = gauge("bot_ready", "Whether a runner takes calls of the bot", "bot")
    room = gauge("bot_room", "Whether the bot can take one more call", "bot")
    for bot in status.bots:
        ready.labels(bot.name).set(bot.ready)
        room.labels(bot.name).set(bot.room)
    info = gauge("runner_info", "What a runner runs", "bot", "runner", "version", "role")
    live = gauge("live_calls", "Pipelines with a media stream", "bot", "runner")
    prepared = gauge("prepared_calls", "Pipelines that wait for a media stream", "bot", "runner")
    lag = gauge("runner_loop_lag_p99_seconds", "How late a runner's event loop is", "bot", "runner")
    memory = gauge("runner_resident_memory_bytes", "The memory of a runner's process", "bot", "runner")
    for runner in status.runners:
        info.labels(runner.bot, runner.name, runner.version, runner.role.value).set(1)
        live.labels(runner.bot, runner.name).set(runner.live)
        prepared.labels(runner.bot, runner.name).set(runner.prepared)
        lag.labels(runner.bot, runner.name).set(runner.lag_p99_ms / 1000)
        memory.labels(runner.bot, runner.name).set(runner.rss_bytes)
    return registry
