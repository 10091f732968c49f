"""What the realtime model's server says, and the shape of a tool. What it is told is in `client_events`.

The protocol is OpenAI's Realtime API (GA); the tests hold every event here against the shapes of the `openai`
package. Only fields that are read are named; others are skipped.
"""

from __future__ import annotations

from typing import Any, Protocol, Union, cast

import msgspec

from ..errors import Fault, TransportsError


class MalformedEventError(TransportsError):
    """A message of the model's that is no event: broken JSON, or a known type of the wrong shape.

    Attributes:
        kind: The event's type, or ``json`` when it could not be read.
        explanation: What is wrong, without any of the message's content.
    """

    fault = Fault.MODEL

    def __init__(self, kind: str, explanation: str) -> None:
        super().__init__(f"malformed event ({kind}): {explanation}")
        self.kind = kind
        self.explanation = explanation


class ToolSchema(Protocol):
    """What the model is told about a tool: its name, what it does, and a JSON schema of its parameters."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def description(self) -> str:
        """What the tool does and when to call it, for the model."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of its arguments, an object's."""
        ...


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong. `event_id` names the client event that caused it, where one did."""

    type: str | None = None
    message: str | None = None
    code: str | None = None
    event_id: str | None = None


class SessionInfo(msgspec.Struct, frozen=True):
    """The session as the server has set it up; it ends at `expires_at`, in seconds of Unix time."""

    model: str | None = None
    expires_at: float | None = None


class Item(msgspec.Struct, frozen=True):
    """An item: a message, or a function call with its `call_id`, `name` and `arguments`, or its output.

    `status` is ``incomplete`` when a response ended before the item did.
    """

    id: str | None = None
    type: str = ""
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class TokenCounts(msgspec.Struct, frozen=True):
    """Tokens by modality."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class InputTokens(msgspec.Struct, frozen=True):
    """Input tokens by modality; the cached ones are among them."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: TokenCounts | None = None


class Usage(msgspec.Struct, frozen=True):
    """What a response used."""

    input_token_details: InputTokens | None = None
    output_token_details: TokenCounts | None = None


class TranscriptionUsage(msgspec.Struct, frozen=True):
    """What a transcription used: tokens, or seconds of audio, as the transcription model is billed."""

    seconds: float | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None


class StatusDetails(msgspec.Struct, frozen=True):
    """Why a response ended as it did: ``turn_detected``, ``client_cancelled``, ``max_output_tokens`` ..."""

    reason: str | None = None
    error: ErrorDetail | None = None


class Response(msgspec.Struct, frozen=True):
    """A response. `status` is ``completed``, ``cancelled``, ``failed``, ``incomplete`` or ``in_progress``."""

    id: str
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = None

    @property
    def request_id(self) -> str | None:
        """Which request of ours it answers; None for a response the server began by itself."""
        return (self.metadata or {}).get("request")

    @property
    def failure(self) -> tuple[str, str]:
        """A code for why it ended as it did, and the server's words."""
        details = self.status_details or StatusDetails()
        error = details.error or ErrorDetail()
        code = error.code or error.type or details.reason or f"response_{self.status}"
        return code, error.message or f"the response was {self.status}"


class SessionUpdated(msgspec.Struct, frozen=True, tag="session.updated"):
    """Our settings hold."""

    session: SessionInfo


class ErrorEvent(msgspec.Struct, frozen=True, tag="error"):
    """An error; the session goes on."""

    error: ErrorDetail


class SpeechStarted(msgspec.Struct, frozen=True, tag="input_audio_buffer.speech_started"):
    """The caller begins to speak.

    Attributes:
        audio_start_ms: Where the turn begins in all audio that was appended, what is kept before it included.
    """

    item_id: str = ""
    audio_start_ms: float | None = None


class SpeechStopped(msgspec.Struct, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """The caller has stopped.

    Attributes:
        audio_end_ms: Where the turn ends in all audio that was appended, the silence that ended it included.
    """

    item_id: str = ""
    audio_end_ms: float | None = None


class AudioCommitted(msgspec.Struct, frozen=True, tag="input_audio_buffer.committed"):
    """The caller's turn has become an item of the conversation."""

    item_id: str


class CallerTranscribed(
    msgspec.Struct, frozen=True, tag="conversation.item.input_audio_transcription.completed"
):
    """The transcript of a caller's turn; turns may be transcribed out of order."""

    item_id: str
    transcript: str
    usage: TranscriptionUsage | None = None


class CallerTranscriptionFailed(
    msgspec.Struct, frozen=True, tag="conversation.item.input_audio_transcription.failed"
):
    """A caller's turn has no transcript."""

    item_id: str
    error: ErrorDetail


class ItemAdded(msgspec.Struct, frozen=True, tag="conversation.item.added"):
    """The conversation has a new item: the echo of one of ours among them."""

    item: Item


class ResponseCreated(msgspec.Struct, frozen=True, tag="response.created"):
    """A response begins: asked for by us, or by the server's turn detection."""

    response: Response


class ResponseDone(msgspec.Struct, frozen=True, tag="response.done"):
    """A response is over, whatever its status."""

    response: Response


class OutputItemAdded(msgspec.Struct, frozen=True, tag="response.output_item.added"):
    """An item of a response begins."""

    response_id: str
    item: Item


class OutputItemDone(msgspec.Struct, frozen=True, tag="response.output_item.done"):
    """An item of a response is complete."""

    response_id: str
    item: Item


class AudioDelta(msgspec.Struct, frozen=True, tag="response.output_audio.delta"):
    """A piece of the bot's speech: `audio`, in the session's output format, crosses the wire in base64."""

    item_id: str
    audio: bytes = msgspec.field(name="delta")
    response_id: str
    event_id: str = ""
    content_index: int = 0


class AudioDone(msgspec.Struct, frozen=True, tag="response.output_audio.done"):
    """The speech of an item is complete."""

    item_id: str
    response_id: str


class TranscriptDelta(msgspec.Struct, frozen=True, tag="response.output_audio_transcript.delta"):
    """A piece of the transcript of the bot's speech."""

    item_id: str
    delta: str
    response_id: str


class TranscriptDone(msgspec.Struct, frozen=True, tag="response.output_audio_transcript.done"):
    """The whole transcript of an item."""

    item_id: str
    transcript: str
    response_id: str


class FunctionCallDone(msgspec.Struct, frozen=True, tag="response.function_call_arguments.done"):
    """A function call's arguments are complete."""

    call_id: str
    response_id: str
    arguments: str = ""
    name: str | None = None


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a type the protocol did not have when this was written."""

    type: str


class UnusedEvent(msgspec.Struct, frozen=True):
    """An event of the protocol that tells us nothing we act on."""


_UNUSED = """
    conversation.created conversation.item.created conversation.item.deleted conversation.item.done
    conversation.item.input_audio_transcription.delta
    conversation.item.input_audio_transcription.segment conversation.item.retrieved conversation.item.truncated
    input_audio_buffer.cleared input_audio_buffer.dtmf_event_received input_audio_buffer.timeout_triggered
    mcp_list_tools.completed mcp_list_tools.failed mcp_list_tools.in_progress
    output_audio_buffer.cleared output_audio_buffer.started output_audio_buffer.stopped
    rate_limits.updated response.content_part.added response.content_part.done
    response.function_call_arguments.delta response.mcp_call.completed response.mcp_call.failed
    response.mcp_call.in_progress response.mcp_call_arguments.delta response.mcp_call_arguments.done
    response.output_text.delta response.output_text.done
    session.created
"""

_USED = (
    AudioDelta | TranscriptDelta | AudioDone | TranscriptDone | FunctionCallDone | OutputItemDone
    | OutputItemAdded | ResponseCreated | ResponseDone | SpeechStarted | SpeechStopped | AudioCommitted
    | CallerTranscribed | CallerTranscriptionFailed | ItemAdded | SessionUpdated | ErrorEvent
)  # fmt: skip

ServerEvent = _USED | UnusedEvent | UnknownEvent
"""What `parse` returns."""


def _unused(event_type: str) -> type[UnusedEvent]:
    return cast(
        "type[UnusedEvent]",
        msgspec.defstruct(f"Unused_{event_type}", [], bases=(UnusedEvent,), frozen=True, tag=event_type),
    )


class _Typed(msgspec.Struct, frozen=True):
    type: str


_EVENTS = msgspec.json.Decoder(Union[(_USED, *(_unused(name) for name in _UNUSED.split()))])
_TYPES = msgspec.json.Decoder(_Typed)
_KNOWN_TYPES = frozenset(_UNUSED.split()) | {
    cast("str", event.__struct_config__.tag) for event in _USED.__args__
}
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def parse(message: str | bytes) -> ServerEvent:
    """Read a message of the model's.

    Raises:
        MalformedEventError: It is no JSON object with a type, or an event of a known type lacks what it needs.
    """
    try:
        return cast("ServerEvent", _EVENTS.decode(message))
    except _UNREADABLE as refusal:
        explanation = str(refusal)
    try:
        event_type = _TYPES.decode(message).type
    except _UNREADABLE:
        raise MalformedEventError("json", "not a JSON object with a type") from None
    if event_type not in _KNOWN_TYPES:
        return UnknownEvent(event_type)
    raise MalformedEventError(event_type, explanation)
