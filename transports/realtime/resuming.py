"""Going on with a conversation that another media stream, maybe in another process, had to leave."""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import ToolCallFrame
from ..restored import UNKNOWN_OUTCOME, AuthorWords, BotWords, CallerWords, Restored, ToolRun
from ..steering import ChangeFrame
from .dialogue import Dialogue
from .events import ToolSchema
from .history import History
from .responses import Wish

BROKE_OFF = (
    "The line broke off for a moment. The caller has already been asked for a moment's patience, so neither "
    "greet nor apologise."
)
CUT = (
    "You were speaking: go on where your last words end, with what the caller still has to hear. They may have "
    "heard a few words more than you see."
)
UNHEARD = "What the caller said last was lost: ask them, briefly, to say it again."
UNKNOWN = (
    "What a tool did is unknown: tell the caller so before anything else, and ask what they want; do not call "
    "it again unasked."
)
GOODBYE = "The call was about to end: say goodbye."
ANSWER = (
    "Pick the conversation up where it stopped: answer what the caller said last, or go on with what was next."
)


def go_on_wish(restored: Restored, instructions: str) -> Wish:
    """Return the response that picks a conversation up.

    Args:
        restored: The conversation.
        instructions: The session's.
    """
    reasons = [
        (bool([run for run in restored.unknown_tools if not run.repeatable]), UNKNOWN),
        (restored.caller_unheard, UNHEARD),
        (restored.bot_cut, CUT),
        (restored.ends, GOODBYE),
    ]
    told = [text for holds, text in reasons if holds] or [ANSWER]
    return Wish("\n\n".join([instructions, " ".join([BROKE_OFF, *told])]))


def changed(restored: Restored, tools: Sequence[ToolSchema]) -> ChangeFrame:
    """Return what the bot's author had changed, as far as this pipeline's tools have the names."""
    names = restored.tool_names
    named = {tool.name: tool for tool in tools}
    known = names is not None and named.keys() >= set(names)
    left = [named[name] for name in names or ()] if known else None
    return ChangeFrame(instructions=restored.instructions, tools=left)


def take_up(restored: Restored, history: History, dialogue: Dialogue) -> list[ToolCallFrame]:
    """Put a conversation into a call's history; return the tool calls that are to be run again.

    Args:
        restored: The conversation.
        history: What every new session of this generation is told.
        dialogue: Where calls that are run again wait for their answers.
    """
    again: list[ToolCallFrame] = []
    for number, entry in enumerate(restored.entries):
        item_id = f"restored_{number}"
        match entry:
            case CallerWords(text):
                history.caller_spoke(item_id)
                if text is not None:
                    history.caller_said(item_id, text)
            case BotWords(text):
                history.bot_heard(item_id, text)
            case AuthorWords(text):
                history.author_told(text)
            case ToolRun():
                call = ToolCallFrame(entry.call_id, entry.tool_name, entry.arguments)
                if entry.output is None and entry.repeatable:
                    again.append(call)
                    continue
                history.tool_called(call)
                history.tool_answered(entry.call_id, entry.output or UNKNOWN_OUTCOME)
    dialogue.call_again([call.call_id for call in again])
    return again
