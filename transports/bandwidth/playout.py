"""The bot's audio that waits to be sent, because enough of it is already on its way to the caller. No I/O."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass

from pipecat.frames.frames import Frame, OutputAudioRawFrame

from ..audio.playhead import Playhead
from ..frames import EncodedAudio, OutputEncodedAudioFrame
from .serializer import playout_message

MAX_PIECE_MS = 1000
"""A longer frame is sent in pieces, so that the lead stays bounded."""

MAX_WAITING_MS = 120_000
"""Audio that may wait; what comes beyond it is dropped."""

BATCH_MS = 250
"""How far the lead falls before what waits is sent, so that the timer need not run for every packet."""


@dataclass(slots=True, eq=False)
class Piece:
    """Audio that is sent in one message.

    Attributes:
        frame: The frame that goes on downstream once the piece is sent.
        encoded: Its audio.
        duration_ms: How long it lasts.
        message: The `playAudio` message that sends it.
    """

    frame: Frame
    encoded: EncodedAudio
    duration_ms: float
    message: bytes

    @property
    def context_id(self) -> str | None:
        """The model's item it belongs to; stock frames may have none."""
        return getattr(self.frame, "context_id", None)


def piece_of(frame: Frame, encoded: EncodedAudio) -> Piece:
    """Return a frame's audio as one piece.

    Raises:
        PlayoutFormatError: Bandwidth does not take the audio's format.
    """
    return Piece(frame, encoded, encoded.duration_ms, playout_message(encoded))


def split(piece: Piece) -> list[Piece]:
    """Return a piece in pieces of `MAX_PIECE_MS` at the most."""
    if piece.duration_ms <= MAX_PIECE_MS:
        return [piece]
    audio, audio_format = piece.encoded.audio, piece.encoded.audio_format
    step = audio_format.size(MAX_PIECE_MS)
    parts = [
        EncodedAudio(audio=audio[start : start + step], audio_format=audio_format)
        for start in range(0, len(audio), step)
    ]
    return [piece_of(_with_audio(piece.frame, part), part) for part in parts]


class WaitingAudio:
    """A bounded queue of pieces which lets out as much as keeps the lead.

    The lead is what was sent and is still unheard. A piece may go as long as it is below its bound.

    Args:
        playhead: Knows what is unheard.
        max_lead_ms: The bound.
        held: Nothing may go yet, because there is no media stream.
    """

    def __init__(self, playhead: Playhead, max_lead_ms: float, *, held: bool = False) -> None:
        self.held = held
        self._playhead = playhead
        self._max_lead_ms = max_lead_ms
        self._batch_ms = min(BATCH_MS, max_lead_ms / 2)
        self._pieces: deque[Piece] = deque()
        self.waiting_ms = 0.0

    def __len__(self) -> int:
        return len(self._pieces)

    def may_send(self, now: float) -> bool:
        """Whether a piece that comes now may go at once: nothing waits, and the lead is below its bound."""
        return not self._pieces and not self.held and self._playhead.unheard_ms(now) < self._max_lead_ms

    def add(self, piece: Piece) -> bool:
        """Let a piece wait behind the others; False when there is no room for it."""
        if self.waiting_ms + piece.duration_ms > MAX_WAITING_MS:
            return False
        self._pieces.append(piece)
        self.waiting_ms += piece.duration_ms
        return True

    def next(self, now: float) -> Piece | None:
        """Return the next piece that may be sent now, or None."""
        if not self._pieces or self.held or self._playhead.unheard_ms(now) >= self._max_lead_ms:
            return None
        piece = self._pieces.popleft()
        self.waiting_ms -= piece.duration_ms
        return piece

    def due_at(self) -> float:
        """Return when to send again, in s: the lead has then fallen by a batch."""
        return self._playhead.ends_at - (self._max_lead_ms - self._batch_ms) / 1000

    def drop(self) -> list[str]:
        """Drop everything; return the items it belonged to."""
        context_ids = [piece.context_id for piece in self._pieces]
        self._pieces.clear()
        self.waiting_ms = 0.0
        return [context_id for context_id in dict.fromkeys(context_ids) if context_id is not None]


def _with_audio(frame: Frame, part: EncodedAudio) -> Frame:
    frame = copy.copy(frame)
    if isinstance(frame, OutputEncodedAudioFrame):
        frame.encoded = part
    elif isinstance(frame, OutputAudioRawFrame):
        frame.audio = part.audio
        frame.num_frames = len(part.audio) // (2 * frame.num_channels)
    return frame
