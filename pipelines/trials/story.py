"""What happened on a trial call, a line each, for whoever reads why a test failed."""

from __future__ import annotations

import json

from .trial import TrialCall

_WIDTH = 8


def story(call: TrialCall) -> str:
    """Return who did what and when, in seconds since the call was answered."""
    report = call.report
    began = report.started_at if report.answered_at is None else report.answered_at
    lines: list[tuple[float, str, str]] = []
    for event in report.events:
        who, _, what = event.name.partition(" ")
        words = f" {event.words!r}" if event.words else ""
        if who == "caller" or event.name in ("carrier speaks", "call ended", "key unheard", "stream rejected"):
            lines.append((event.at - began, who, f"{what} {event.detail}".strip() + words))
        elif event.name in ("cut", "protocol error"):
            lines.append((event.at - began, "carrier", f"{event.name}: {event.detail}"))
    lines += [(heard.began_ms / 1000, "bot", f"says {heard.text!r}") for heard in call.heard]
    for tool in call.called:
        arguments = json.dumps(dict(tool.arguments), ensure_ascii=False)
        lines.append((tool.at_ms / 1000, "tool", f"{tool.name} {arguments} -> {tool.outcome} {tool.output}"))
    told = [f"{at:7.2f}  {who:{_WIDTH}}{what}" for at, who, what in sorted(lines, key=lambda line: line[0])]
    return "\n".join([*told, *(f"  logged  {message.strip()}" for message in call.logged)])
