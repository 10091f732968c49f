"""The session that the hand-written systems ask the model for: PCMU both ways, with a tool."""

import json


def session_update(call_id: str) -> str:
    """Return the `session.update` event of a call; the measuring model finds the call by its instructions."""
    pcmu = {"type": "audio/pcmu"}
    vad = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    book = {
        "type": "function",
        "name": "book_table",
        "description": "Book a table for today.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    }
    session = {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": f"You answer call {call_id}.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": pcmu, "turn_detection": vad},
            "output": {"format": pcmu, "voice": "marin"},
        },
        "tools": [book],
    }
    return json.dumps({"type": "session.update", "session": session})


def model_url(base: str) -> str:
    """Return the address of a session."""
    return f"{base}/realtime?model=gpt-realtime"
