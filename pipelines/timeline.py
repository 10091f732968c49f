"""A call as it happens, line by line, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipecat.observers.base_observer import BaseObserver, FramePushed
from rich.console import Console
from rich.text import Text

from callpipe.transports.bandwidth.emulator import CarrierEvent
from callpipe.transports.call_events import (
    BargeInFrame,
    BotTurnFrame,
    CallerTurnFrame,
    CallEventFrame,
    CarrierFaultFrame,
    ModelFaultFrame,
    SessionReadyFrame,
    ToolCalledFrame,
    TurnLatencyFrame,
)

from .call import Call

_STYLES = {"carrier": "yellow", "caller": "cyan", "bot": "green", "model": "magenta", "tool": "blue"}


class LiveTimeline:
    """Prints what the carrier and the bot's pipeline tell, with the seconds since the call began.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_at: float | None = None

    def observers(self, call: Call) -> list[BaseObserver]:
        """Return what watches the pipeline of a call."""
        del call
        return [_Watching(self)]

    def carrier_event(self, event: CarrierEvent) -> None:
        """Print what the emulated carrier tells."""
        who = (
            "caller"
            if event.name.startswith("caller")
            else "bot"
            if event.name.startswith("bot")
            else "carrier"
        )
        what = event.name.removeprefix("caller ").removeprefix("bot ")
        self._line(event.at, who, f"{what} {event.detail}".strip(), event.words)

    def pipeline_event(self, frame: CallEventFrame) -> None:
        """Print what the pipeline tells."""
        match frame:
            case SessionReadyFrame(model=model, connect_ms=connect_ms):
                self._line(frame.at, "model", f"{model} is ready after {connect_ms:.0f} ms")
            case CallerTurnFrame(text=text):
                self._line(frame.at, "model", "understood", text)
            case BotTurnFrame(interrupted=True):
                self._line(
                    frame.at, "bot", f"said, and was heard for {frame.heard_ms:.0f} ms", frame.heard_text
                )
            case BotTurnFrame(text=text):
                self._line(frame.at, "bot", "said", text)
            case BargeInFrame():
                heard = f"{frame.believed_ms:.0f} ms of {frame.generated_ms:.0f} ms heard"
                self._line(frame.at, "model", f"barge-in: {heard}, the rest is forgotten")
            case ToolCalledFrame():
                called = f"{frame.tool_name} answers after {frame.duration_ms:.0f} ms, {frame.outcome}"
                self._line(frame.at, "tool", called, f"{frame.arguments} -> {frame.output}")
            case TurnLatencyFrame(response_ms=response_ms) if response_ms is not None:
                self._line(frame.at, "model", f"answers {response_ms:.0f} ms after the caller's last word")
            case CarrierFaultFrame() | ModelFaultFrame():
                self._line(frame.at, "model", f"fault: {frame.explanation}")
            case _:
                pass

    def show_summary(self, told: Mapping[str, Any]) -> None:
        """Print where the call's files are, and its figures."""
        barge_ins = ", ".join(
            f"believed {cut['believed_ms']:.0f} ms, heard {cut['heard_ms']:.0f} ms" for cut in told["barge_ins"]
        )
        cost = f"{told['cost_usd']:.4f} USD"
        if told["unpriced"]:
            cost += f", without {', '.join(told['unpriced'])}, whose price is not known"
        rows = {
            "answer to first audio": _ms(told["answer_to_first_audio_ms"]),
            "caller's turns": str(sum(turn["who"] == "caller" for turn in told["turns"])),
            "response, median and longest": f"{_ms(told['response_p50_ms'])}, {_ms(told['response_max_ms'])}",
            "tool calls": ", ".join(call["name"] for call in told["tool_calls"]),
            "barge-in": barge_ins or "none",
            "cost at the API's prices": cost,
            "recording": told["recording"],
            "transcript": told["transcript"],
            "journal": told["journal"],
        }
        self._console.print()
        for name, shown in rows.items():
            self._console.print(Text(f"{name:30}", style="dim").append(shown, style="default"), soft_wrap=True)

    def _line(self, at: float, who: str, what: str, words: str = "") -> None:
        if self._began_at is None:
            self._began_at = at
        line = Text(f"{at - self._began_at:7.2f}  ", style="dim")
        line.append(f"{who:8}", style=_STYLES[who])
        line.append(what, style="default")
        if words:
            line.append(f"  {words}", style="bold")
        self._console.print(line, soft_wrap=True)


class _Watching(BaseObserver):
    def __init__(self, timeline: LiveTimeline) -> None:
        super().__init__(observe_every_push=False)  # pyright: ignore[reportUnknownMemberType]  untyped kwargs
        self._timeline = timeline

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, CallEventFrame):
            self._timeline.pipeline_event(data.frame)


def _ms(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.0f} ms"
