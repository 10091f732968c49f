"""Errors of the Bandwidth transport."""

from __future__ import annotations

from ..errors import Fault, TransportsError


class BandwidthError(TransportsError):
    """The root of this package's errors."""

    fault = Fault.CARRIER


class MalformedMessageError(BandwidthError):
    """A message on the media socket is not what Bandwidth sends.

    Attributes:
        kind: ``malformed``, ``oversized``, ``binary`` or ``unknown``.
        explanation: What was wrong, without any of the message's content.
    """

    def __init__(self, kind: str, explanation: str) -> None:
        super().__init__(f"{kind} message: {explanation}")
        self.kind = kind
        self.explanation = explanation


class NoStartError(BandwidthError):
    """The media stream did not start.

    Attributes:
        explanation: What came instead.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(f"the media stream did not start: {explanation}")
        self.explanation = explanation


class MediaFormatError(BandwidthError):
    """A media stream's inbound track is not PCMU at 8 kHz.

    Attributes:
        encoding: What the carrier calls the encoding.
        sample_rate: In Hz.
    """

    def __init__(self, encoding: str, sample_rate: int) -> None:
        super().__init__(f"the inbound track is {encoding} at {sample_rate} Hz; only PCMU at 8000 Hz is read")
        self.encoding = encoding
        self.sample_rate = sample_rate


class MalformedWebhookError(BandwidthError):
    """A webhook's body is not what Bandwidth sends.

    Attributes:
        explanation: What was wrong, by field name, without any of the body's content.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(f"malformed webhook: {explanation}")
        self.explanation = explanation


class BxmlError(BandwidthError):
    """A BXML document can't be written."""

    fault = Fault.BOT_AUTHOR


class IllegalCharacterError(BxmlError):
    """A text holds a character that XML 1.0 (section 2.2) has no place for.

    Attributes:
        where: The element, or the element and its attribute, that holds the text.
        code_point: The character's Unicode code point.
    """

    def __init__(self, where: str, code_point: int) -> None:
        super().__init__(f"{where} holds U+{code_point:04X}, which XML can't carry")
        self.where = where
        self.code_point = code_point


class SsmlError(BxmlError):
    """A text given as SSML is not well-formed, or uses an element SSML does not have.

    Attributes:
        explanation: What was wrong.
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(f"not SSML: {explanation}")
        self.explanation = explanation


class BxmlLimitError(BxmlError):
    """A BXML document breaks one of Bandwidth's limits.

    Attributes:
        what: What is limited.
        size: What there is of it.
        limit: What there may be.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what}: {size}, and {limit} are allowed")
        self.what = what
        self.size = size
        self.limit = limit


class PlayoutFormatError(BandwidthError):
    """Audio is in a format that Bandwidth's `playAudio` does not take.

    Attributes:
        audio_format: The format, as words.
    """

    fault = Fault.BOT_AUTHOR

    def __init__(self, audio_format: str) -> None:
        super().__init__(
            f"playAudio takes PCMU at 8 kHz or mono PCM at 8, 16 or 24 kHz, and this is {audio_format}"
        )
        self.audio_format = audio_format


class InvalidIdError(BandwidthError):
    """An id can't be part of a Voice API's URL.

    Attributes:
        what: Which id: ``account id`` or ``call id``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the {what} is no id: 1 to 128 letters, digits and . _ ~ : @ -, a letter or digit first"
        )
        self.what = what


class VoiceApiError(BandwidthError):
    """The root of the Voice API's errors; none holds a secret or what was sent.

    Attributes:
        request: What was asked for: ``token`` or the name of a `VoiceApi` method.
        status: The HTTP status of the last answer, None when there was none.
    """

    def __init__(self, request: str, status: int | None, explanation: str) -> None:
        super().__init__(f"Voice API, {request}: {explanation}")
        self.request = request
        self.status = status


class VoiceApiCredentialsError(VoiceApiError):
    """The client id, its secret, the account or the token URL are wrong, or the client may not do this."""

    fault = Fault.OPERATOR

    def __init__(self, request: str, status: int) -> None:
        super().__init__(request, status, f"the credentials are refused with {status}")


class VoiceApiUnavailableError(VoiceApiError):
    """The carrier did not answer in time, or only with 429 or 5xx.

    Attributes:
        retry_after_s: How long the carrier asked to wait, when it did.
    """

    def __init__(self, request: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        last = "no answer" if status is None else f"answer {status}"
        super().__init__(request, status, f"{last} when the deadline came")
        self.retry_after_s = retry_after_s


class VoiceApiRefusedError(VoiceApiError):
    """The carrier understood a request and does not accept it."""

    fault = Fault.CALLPIPE

    def __init__(self, request: str, status: int) -> None:
        super().__init__(request, status, f"refused with {status}")


class VoiceApiAnswerError(VoiceApiError):
    """A successful answer can't be read."""

    def __init__(self, request: str, status: int) -> None:
        super().__init__(request, status, f"answer {status} is not what Bandwidth documents")


class CallOverError(VoiceApiError):
    """The call is not there any more (404), or is in no state to be changed (409).

    Attributes:
        call_id: The call.
    """

    def __init__(self, request: str, status: int, call_id: str) -> None:
        super().__init__(request, status, f"call {call_id} is over ({status})")
        self.call_id = call_id
