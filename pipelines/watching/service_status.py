"""How a server, its bots and their runners are at the moment, as `/status` tells it."""

from __future__ import annotations

from dataclasses import dataclass

from ..runs import RunnerState


@dataclass(frozen=True, slots=True)
class ServerState:
    """The process that answers the carrier.

    Attributes:
        pid: The process.
        release: The version of callpipe it runs.
        up_s: For how long it has answered.
        draining: It takes no further call.
        calls: Calls that have begun and not ended.
        lag_p99_ms: The loop lag that 99 of 100 measures of its last minute stayed below.
        lag_max_ms: The longest there was.
        rss_bytes: Its memory.
    """

    pid: int
    release: str
    up_s: float
    draining: bool
    calls: int
    lag_p99_ms: float
    lag_max_ms: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class BotState:
    """A bot that is to answer calls.

    Attributes:
        name: The bot.
        versions: The versions of it that run.
        calls: Its calls that have begun and not ended.
        max_calls: How many it takes at a time; None without a limit of its own.
        ready: A runner takes calls of it.
        room: It can take one more call.
    """

    name: str
    versions: tuple[str, ...]
    calls: int
    max_calls: int | None
    ready: bool
    room: bool


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """All of it.

    Attributes:
        server: The process that answers the carrier.
        bots: The bots.
        runners: The processes that run their pipelines.
    """

    server: ServerState
    bots: tuple[BotState, ...]
    runners: tuple[RunnerState, ...]

    @property
    def unready(self) -> str | None:
        """Why a load balancer should send new calls elsewhere; None when it should not."""
        if self.server.draining:
            return "draining"
        if not self.bots or not all(bot.ready for bot in self.bots):
            return "no runner"
        return None if any(bot.room for bot in self.bots) else "no room"
