"""What the realtime model's server is told, as messages for its socket.

The protocol is OpenAI's Realtime API (GA); the tests hold every event here against the shapes of the `openai`
package.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

import msgspec

from .events import ToolSchema

_APPEND = b'{"type":"input_audio_buffer.append","audio":"'
_encode = msgspec.json.Encoder().encode


def append_audio(audio: bytes) -> bytes:
    """Caller audio in the session's input format. Sent 50 times a second, hence the template."""
    return _APPEND + b2a_base64(audio, newline=False) + b'"}'


CLEAR_INPUT = b'{"type":"input_audio_buffer.clear"}'
"""Drops caller audio that is not yet part of a turn."""


COMMIT_INPUT = b'{"type":"input_audio_buffer.commit"}'
"""Makes a turn of the caller's audio so far, where the server finds no turns by itself."""


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


def add_message(role: str, text: str, item_id: str | None = None, *, after: str | None = None) -> bytes:
    """Add a message to the conversation.

    Args:
        role: ``user``, ``system`` or ``assistant``.
        text: What it says.
        item_id: The item's id, 32 characters at the most; the server makes one up without.
        after: The item it follows, ``root`` to make it the first; without, it becomes the last.
    """
    kind = "output_text" if role == "assistant" else "input_text"
    return _add({"type": "message", "role": role, "content": [{"type": kind, "text": text}]}, item_id, after)


def add_spoken_message(payload: str, item_id: str) -> bytes:
    """Add what the caller said as audio, base64 in the session's input format."""
    content = [{"type": "input_audio", "audio": payload}]
    return _add({"type": "message", "role": "user", "content": content}, item_id)


def add_tool_call(call_id: str, tool_name: str, arguments: str, item_id: str) -> bytes:
    """Add a function call that the model has made before; `arguments` is JSON text."""
    call = {"type": "function_call", "call_id": call_id, "name": tool_name, "arguments": arguments}
    return _add(call, item_id)


def _add(item: dict[str, Any], item_id: str | None = None, after: str | None = None) -> bytes:
    place = {} if after is None else {"previous_item_id": after}
    given = {} if item_id is None else {"id": item_id}
    return _encode({"type": "conversation.item.create", "item": item | given, **place})


def add_tool_output(call_id: str, output: str, item_id: str | None = None) -> bytes:
    """Answer a function call; `output` is text, for callpipe's tools JSON."""
    return _add({"type": "function_call_output", "call_id": call_id, "output": output}, item_id)


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
