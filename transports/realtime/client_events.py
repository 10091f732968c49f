"""What the realtime model's server is told, as messages for its socket.

The protocol is OpenAI's Realtime API (GA); the tests hold every event here against the shapes of the `openai`
package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .events import ToolSchema

_APPEND = b'{"type":"input_audio_buffer.append","audio":'
_encode = msgspec.json.Encoder().encode


def append_audio(payload: str) -> bytes:
    """Caller audio, base64 in the session's input format. Sent 50 times a second, hence the template."""
    return _APPEND + _encode(payload) + b"}"


CLEAR_INPUT = b'{"type":"input_audio_buffer.clear"}'
"""Drops caller audio that is not yet part of a turn."""


def update_session(session: Mapping[str, Any]) -> bytes:
    """Set the session up; `session` as in the API's reference, ``type`` included."""
    return _encode({"type": "session.update", "session": session})


def function_tool(tool: ToolSchema) -> dict[str, Any]:
    """Return a tool as the session's ``tools`` list has it."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }


def add_message(role: str, text: str) -> bytes:
    """Add a message to the conversation; `role` is ``user``, ``system`` or ``assistant``."""
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return _encode({"type": "conversation.item.create", "item": item})


def add_tool_output(call_id: str, output: str) -> bytes:
    """Answer a function call; `output` is text, for callpipe's tools JSON."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return _encode({"type": "conversation.item.create", "item": item})


def truncate_item(item_id: str, content_index: int, audio_end_ms: int) -> bytes:
    """Cut an item's audio, and with it its transcript, to what the caller has heard.

    The server refuses a cut beyond the audio it generated.
    """
    cut = {"item_id": item_id, "content_index": content_index, "audio_end_ms": audio_end_ms}
    return _encode({"type": "conversation.item.truncate", **cut})


def delete_item(item_id: str) -> bytes:
    """Take an item out of the conversation."""
    return _encode({"type": "conversation.item.delete", "item_id": item_id})


def create_response(event_id: str, instructions: str | None = None, *, alone: bool = False) -> bytes:
    """Ask for a response. An error that refuses it names `event_id`, and the response itself does.

    Args:
        event_id: Our id of this request.
        instructions: Takes the place of the session's instructions for this one response.
        alone: The model is shown nothing of the conversation and may call no tool. What it says still becomes
            a part of the conversation.
    """
    response: dict[str, Any] = {"metadata": {"request": event_id}}
    if instructions is not None:
        response["instructions"] = instructions
    if alone:
        response |= {"input": [], "tool_choice": "none"}
    return _encode({"type": "response.create", "event_id": event_id, "response": response})


def cancel_response(response_id: str | None = None) -> bytes:
    """Cancel a response, or, without an id, the one in progress."""
    return _encode({"type": "response.cancel"} | ({"response_id": response_id} if response_id else {}))
