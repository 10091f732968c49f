"""What `callpipe status` shows: a server, its bots and their runners."""

from __future__ import annotations

import time

import httpx
from pydantic import TypeAdapter, ValidationError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from callpipe.transports.errors import Fault

from ..errors import PipelinesError
from ..settings import ServingSettings
from .service_status import ServiceStatus

ANSWER_DEADLINE_S = 5.0

LOOK_AGAIN_S = 1.0
"""How often a status that is watched is asked for."""

_STATUS = TypeAdapter(ServiceStatus)


class NoStatusError(PipelinesError):
    """A server does not tell how it is."""

    fault = Fault.OPERATOR


def ask_status(http: httpx.Client, url: str) -> ServiceStatus:
    """Return how a server is. It blocks.

    Args:
        http: With the credentials of the carrier's webhooks.
        url: The server's, without a slash at the end.

    Raises:
        NoStatusError: It can't be reached, refuses the credentials, or is no server of this release.
    """
    try:
        answer = http.get(f"{url}/status")
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        raise NoStatusError(
            f"no server answers at {url} ({type(failure).__name__}); say where it is with --url"
        ) from None
    if answer.status_code == 401:
        explanation = (
            "the credentials of its webhooks are others than CALLPIPE_WEBHOOK_USERNAME and _PASSWORD here"
        )
        raise NoStatusError(f"the server at {url} refuses: {explanation}")
    try:
        answer.raise_for_status()
        return _STATUS.validate_json(answer.content)
    except (httpx.HTTPStatusError, ValidationError):
        raise NoStatusError(
            f"what answers at {url} is no callpipe server of this release (status {answer.status_code})"
        ) from None


def show_status(console: Console, url: str, serving: ServingSettings, *, watched: bool) -> None:
    """Show how a server is: once, or until Ctrl-C.

    Args:
        console: Where.
        url: The server's.
        serving: The credentials of its webhooks.
        watched: Until Ctrl-C; a server that is gone for a while is waited for.

    Raises:
        NoStatusError: It does not tell, and is not watched.
    """
    url = url.rstrip("/")
    auth = (serving.webhook_username, serving.webhook_password)
    with httpx.Client(auth=auth, timeout=ANSWER_DEADLINE_S) as http:
        if not watched:
            console.print(status_table(ask_status(http, url)))
            return
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            try:
                while True:
                    live.update(_now(http, url), refresh=True)
                    time.sleep(LOOK_AGAIN_S)
            except KeyboardInterrupt:
                return


def _now(http: httpx.Client, url: str) -> RenderableType:
    try:
        return status_table(ask_status(http, url))
    except NoStatusError as failure:
        return str(failure)


def status_table(status: ServiceStatus) -> Group:
    """Return a server's status as tables."""
    server = status.server
    words = [
        f"callpipe {server.release}, process {server.pid}, for {_duration(server.up_s)}",
        f"{server.calls} calls",
        f"lag {server.lag_p99_ms:.0f} ms, at most {server.lag_max_ms:.0f} ms",
        _mebibytes(server.rss_bytes),
        *(["takes no further call"] if server.draining else []),
    ]
    bots = _table("bot", "versions", "calls", "at most", "")
    for bot in status.bots:
        limit = "" if bot.max_calls is None else str(bot.max_calls)
        remark = "no runner" if not bot.ready else "" if bot.room else "no room"
        bots.add_row(bot.name, " ".join(bot.versions), str(bot.calls), limit, remark)
    runners = _table("runner", "bot", "process", "version", "load", "live", "prepared", "lag", "memory", "")
    for runner in status.runners:
        counts = (str(each) for each in (runner.revision, runner.live, runner.prepared))
        figures = (f"{runner.lag_p99_ms:.0f} ms", _mebibytes(runner.rss_bytes), runner.role.value)
        runners.add_row(runner.name, runner.bot, str(runner.pid), runner.version, *counts, *figures)
    return Group(", ".join(words), "", bots, "", runners)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        words = heading in ("bot", "runner", "versions", "version", "")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def _mebibytes(rss_bytes: int) -> str:
    return f"{rss_bytes / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}"
