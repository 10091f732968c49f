"""A restaurant's tools, as a session lists them, and a conversation with a brain that uses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from callpipe.transports.speech.interfaces import CallTool, Heard, Say, ToolOutput

History = list[Heard | Say | CallTool | ToolOutput]
Answer = Callable[[str, Sequence[Mapping[str, object]], History], list[Say | CallTool]]

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
TOOLS: list[Mapping[str, object]] = [
    {
        "type": "function",
        "name": "opening_hours",
        "description": "Tell when the restaurant is open.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string", "enum": DAYS, "description": "The day in question."}},
            "required": ["day"],
        },
    },
    {
        "type": "function",
        "name": "book_table",
        "description": "Book a table for today.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "The name the booking is under."},
                "party_size": {"type": "integer", "description": "How many people will come."},
                "time": {"type": "string", "description": "When they come, as HH:MM in 24-hour time."},
            },
            "required": ["name", "party_size", "time"],
        },
    },
    {
        "type": "function",
        "name": "end_call",
        "description": "Hang up the phone.\n\nSay goodbye to the caller first.",
        "parameters": {"type": "object", "properties": {}},
    },
]


class Conversation:
    """Talks with a brain, and answers its tool calls with their own arguments."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.history: History = []

    def say(self, *turns: str) -> list[Say | CallTool]:
        """Speak turns one after the other and return what the brain did after the last of them."""
        done: list[Say | CallTool] = []
        for turn in turns:
            self.history.append(Heard(turn))
            done = self._response()
        return done

    def calls(self, *turns: str) -> list[CallTool]:
        """Speak turns and return all tool calls of the conversation."""
        self.say(*turns)
        return [item for item in self.history if isinstance(item, CallTool)]

    def words(self, *turns: str) -> str:
        """Speak turns and return what the brain said after the last of them."""
        return " ".join(item.text for item in self.say(*turns) if isinstance(item, Say))

    def _response(self) -> list[Say | CallTool]:
        done: list[Say | CallTool] = []
        while True:
            answer = self._answer("Answer the telephone.", TOOLS, self.history)
            self.history += answer
            done += answer
            calls = [item for item in answer if isinstance(item, CallTool)]
            if not calls:
                return done
            self.history += [
                ToolOutput(call.name, json.dumps({"booked": "yes", **call.arguments})) for call in calls
            ]
