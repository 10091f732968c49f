"""Media messages to frames and back, and nothing else: no REST, no timers."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipecat.frames.frames import Frame, InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.base_serializer import FrameSerializer

from ..audio.formats import PCM_8K, PCM_16K, PCM_24K, AudioFormat, Encoding
from ..frames import EncodedAudio, OutputEncodedAudioFrame
from .messages import CLEAR, StartMessage, play_audio
from .stream import MediaStream

_MONO_PCM = {pcm.sample_rate: pcm for pcm in (PCM_8K, PCM_16K, PCM_24K)}


def bot_audio(frame: Frame) -> EncodedAudio | None:
    """Return the audio of a frame that is to be played to the call; None when the frame holds none."""
    if isinstance(frame, OutputEncodedAudioFrame):
        return frame.encoded
    if isinstance(frame, OutputAudioRawFrame):
        mono = _MONO_PCM.get(frame.sample_rate) if frame.num_channels == 1 else None
        audio_format = mono or AudioFormat(Encoding.PCM, frame.sample_rate, frame.num_channels)
        return EncodedAudio(audio=frame.audio, audio_format=audio_format)
    return None


def playout_message(encoded: EncodedAudio) -> bytes:
    """Return the message that has audio played to the call.

    Raises:
        PlayoutFormatError: Bandwidth does not take the audio's format.
    """
    return play_audio(encoded.audio, encoded.audio_format)


class BandwidthSerializer(FrameSerializer):
    """Turns the messages of Bandwidth's media socket into frames, and frames into messages.

    It serves pipecat's stock WebSocket transports; `BandwidthTransport` does the same by the same code. The
    caller's audio comes as `InputEncodedAudioFrame` (PCMU); put a decoder behind the transport for processors
    that take PCM.

    Args:
        start: The start message, when it was read before the serializer got the socket.
        clock: Monotonic seconds.
    """

    def __init__(
        self, start: StartMessage | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  pipecat's kwargs are untyped
        self._stream = MediaStream(start)
        self._clock = clock

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """Return `playAudio` for audio, `clear` for an interruption, None for every other frame.

        Raises:
            PlayoutFormatError: Bandwidth does not take the audio's format.
        """
        encoded = bot_audio(frame)
        if encoded is not None:
            return playout_message(encoded).decode()
        if isinstance(frame, InterruptionFrame):
            return CLEAR.decode()
        return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Return the frame a message makes; a bad message makes a `CarrierFaultFrame`, once for each kind."""
        frame = self._stream.receive(data, self._clock())
        if frame is None and self._stream.faults:
            return self._stream.faults.pop(0)
        return frame
