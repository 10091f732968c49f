"""What a bot's author asks of a session in the middle of a call."""

from __future__ import annotations

from typing import Any

from ..conversation_events import AuthorToldFrame, EndAskedFrame, ModelChangedFrame
from ..steering import (
    ChangeFrame,
    EndWhenHeardFrame,
    FillerFrame,
    HoldFrame,
    MuteCallerFrame,
    ResumeFrame,
    SayFrame,
    SteeringFrame,
    TellFrame,
    UnmuteCallerFrame,
)
from .caller import CallerSpeech
from .caller_gate import CallerGate
from .client_events import CLEAR_INPUT, add_message, function_tool, update_session
from .dialogue import Dialogue
from .happenings import Happening
from .responses import GO_ON, Wish, say_exactly


class Steering:
    """Does what steering frames ask.

    Args:
        dialogue: Who is asked for responses.
        caller: Who has the word.
        outbox: Where client events go.

    Attributes:
        gate: Whether the model hears the caller.
    """

    def __init__(self, dialogue: Dialogue, caller: CallerSpeech, outbox: list[bytes]) -> None:
        self.gate = CallerGate()
        self._dialogue = dialogue
        self._caller = caller
        self._outbox = outbox

    def take(self, frame: SteeringFrame, now: float) -> list[Happening]:
        """Do what a frame asks; a session that is yet to be opened is told the same in other ways.

        Returns:
            What the journal is to know, for another process that goes on with the call.
        """
        told: list[Happening] = []
        outbox = self._outbox
        match frame:
            case SayFrame(text=text):
                self._dialogue.responses.want(Wish(say_exactly(text), text, alone=True, lasting=True))
            case TellFrame(text=text, respond=respond):
                outbox.append(add_message("system", text))
                told.append(AuthorToldFrame(now, text))
                if respond:
                    self._dialogue.responses.want(GO_ON)
            case ChangeFrame():
                outbox.append(update_session(changes(frame)))
                names = None if frame.tools is None else tuple(tool.name for tool in frame.tools)
                told.append(ModelChangedFrame(now, frame.instructions, names))
            case MuteCallerFrame():
                self.gate.mute()
            case UnmuteCallerFrame(when_heard=when_heard):
                self.gate.unmute(when_heard=when_heard)
            case HoldFrame():
                self.gate.held = True
                self._caller.dropped()
                outbox.append(CLEAR_INPUT)
            case ResumeFrame():
                self.gate.held = False
            case EndWhenHeardFrame():
                self._dialogue.farewell.ask_without_words(now)
                told.append(EndAskedFrame(now))
            case FillerFrame(call_id=call_id, text=text, after_ms=after_ms):
                self._dialogue.tool_runs(call_id, text, after_ms=after_ms, now=now)
            case _:
                pass
        return told


def changes(frame: ChangeFrame) -> dict[str, Any]:
    """Return the session object that changes what a frame changes, and leaves the rest."""
    session: dict[str, Any] = {"type": "realtime"}
    if frame.instructions is not None:
        session["instructions"] = frame.instructions
    if frame.tools is not None:
        session["tools"] = [function_tool(tool) for tool in frame.tools]
    return session
