"""What a call's conversation had come to when the process, or the media stream, that carried it was lost.

Plain values between whoever reads the journal and whoever talks to the model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN_OUTCOME = json.dumps(
    {
        "status": "unknown",
        "explanation": "The connection broke while this tool ran. It may or may not have done its work. "
        "Do not call it again for the same purpose before the caller has said that you should.",
    }
)
"""What the model is told of a tool that nobody saw end."""


@dataclass(frozen=True, slots=True)
class CallerWords:
    """A turn of the caller's; the text is None when nobody knows what they said."""

    text: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class BotWords:
    """What the caller heard of an item of the bot's.

    Attributes:
        text: The words.
        cut: The line broke off in the middle: the caller may have heard a few words more, and lacks the rest.
    """

    text: str = field(repr=False)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool call.

    Attributes:
        call_id: The model's id of it.
        tool_name: The tool.
        arguments: JSON text.
        output: What the model was answered; None for a tool that nobody saw end.
        repeatable: Running it again does no harm.
    """

    call_id: str
    tool_name: str
    arguments: str = field(repr=False)
    output: str | None = field(repr=False)
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class AuthorWords:
    """A system message of the bot author's."""

    text: str = field(repr=False)


RestoredEntry = CallerWords | BotWords | ToolRun | AuthorWords


@dataclass(frozen=True, slots=True)
class Restored:
    """A conversation that goes on in another media stream, maybe in another process.

    Attributes:
        entries: What was said and done, as the caller heard it, oldest first.
        caller_unheard: The caller was speaking, or had spoken and nobody knows what they said.
        instructions: What `call.change` set them to; None when it did not.
        tool_names: The tools `call.change` left the model; None when it did not.
        ends: The call was to end once the caller had heard a goodbye.
        cost_usd: What the model has cost so far, as far as prices are known.
        redacted: The line was lost in a redaction, and nobody is left who would end it.
        line_began_at: When the call's first media stream began, as Unix time in seconds; None when none has.
    """

    entries: tuple[RestoredEntry, ...] = ()
    caller_unheard: bool = False
    instructions: str | None = field(default=None, repr=False)
    tool_names: tuple[str, ...] | None = None
    ends: bool = False
    cost_usd: float = 0.0
    redacted: bool = False
    line_began_at: float | None = None

    @property
    def bot_cut(self) -> bool:
        """Whether the bot was in the middle of saying something."""
        last = self.entries[-1] if self.entries else None
        return isinstance(last, BotWords) and last.cut

    @property
    def unknown_tools(self) -> Sequence[ToolRun]:
        """The tool calls that nobody saw end."""
        return [entry for entry in self.entries if isinstance(entry, ToolRun) and entry.output is None]

    def messages(self) -> list[dict[str, Any]]:
        """Return the conversation as pipecat's `LLMContext` takes it, for a bot with a stock LLM service."""
        messages: list[dict[str, Any]] = []
        for entry in self.entries:
            match entry:
                case CallerWords(text):
                    messages.append({"role": "user", "content": text or "[inaudible]"})
                case BotWords(text):
                    messages.append({"role": "assistant", "content": text})
                case AuthorWords(text):
                    messages.append({"role": "system", "content": text})
                case ToolRun():
                    called = {"name": entry.tool_name, "arguments": entry.arguments}
                    calls = [{"id": entry.call_id, "type": "function", "function": called}]
                    output = UNKNOWN_OUTCOME if entry.output is None else entry.output
                    messages.append({"role": "assistant", "tool_calls": calls})
                    messages.append({"role": "tool", "tool_call_id": entry.call_id, "content": output})
        return messages
