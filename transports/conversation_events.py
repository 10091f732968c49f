"""Events from which a call's conversation can be restored while turns and tools are unfinished."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .call_events import CallEventFrame


@dataclass
class BotSpeakingFrame(CallEventFrame):
    """How far the caller has heard an item that is being said; told about once a second. Content.

    Attributes:
        item_id: The model's item.
        heard_text: The words of it the caller has heard, by share of the audio.
        heard_ms: Milliseconds of it the caller has heard.
        began_at: When its first audio came.
    """

    event: ClassVar[str] = "bot_speaking"

    item_id: str
    heard_text: str = field(repr=False)
    heard_ms: float
    began_at: float = 0.0


@dataclass
class CallerSpokeFrame(CallEventFrame):
    """The caller has ended a turn; its transcript is yet to come.

    Attributes:
        item_id: The model's item.
    """

    event: ClassVar[str] = "caller_spoke"

    item_id: str


@dataclass
class AuthorToldFrame(CallEventFrame):
    """The model was told a system message by the bot's author. Content: for the journal only."""

    event: ClassVar[str] = "author_told"

    text: str = field(repr=False)


@dataclass
class ModelChangedFrame(CallEventFrame):
    """The model was given other instructions or other tools. Content: for the journal only.

    Attributes:
        instructions: The new ones; None where they stay.
        tool_names: The tools it has; None where they stay.
    """

    event: ClassVar[str] = "model_changed"

    instructions: str | None = field(repr=False)
    tool_names: tuple[str, ...] | None


@dataclass
class EndAskedFrame(CallEventFrame):
    """The call is to end once the caller has heard what the bot has to say."""

    event: ClassVar[str] = "end_asked"


@dataclass
class ToolStartedFrame(CallEventFrame):
    """A tool begins to run. Content: for the journal only.

    Attributes:
        call_id: The model's id of the tool call.
        tool_name: The tool.
        arguments: As the model wrote them, JSON text.
        side_effects: Running it twice may do harm.
    """

    event: ClassVar[str] = "tool_started"

    call_id: str
    tool_name: str
    arguments: str = field(repr=False)
    side_effects: bool = True
