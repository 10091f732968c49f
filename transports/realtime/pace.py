"""How fast a voice speaks. The API does not mark words in the audio: their places follow from this."""

from __future__ import annotations

from .settings import RealtimeSettings

TYPICAL_CHARACTER_MS = 65.0
"""What a character takes of a voice that was never heard: English is spoken at some 15 a second."""

REMEMBERED_CHARACTERS = 4_000.0
"""Speech that counts; what was said before it counts less and less."""

HEARD_TOLERANCE_MS = 20.0
"""Speech of which less than this is missing was heard: one packet, half a sound, a resampler's end."""


class Pace:
    """What a character takes to be said by a voice, learned from what it has said.

    Args:
        character_ms: What it takes until more is known.
    """

    def __init__(self, character_ms: float = TYPICAL_CHARACTER_MS) -> None:
        self._character_ms = character_ms
        self._characters = 0.0

    @property
    def character_ms(self) -> float:
        """What a character takes, in ms."""
        return self._character_ms

    def learn(self, text: str, duration_ms: float) -> None:
        """Note how long a whole text took."""
        if not text or not duration_ms:
            return
        known = min(self._characters, REMEMBERED_CHARACTERS)
        self._characters = known + len(text)
        self._character_ms = (self._character_ms * known + duration_ms) / self._characters

    def words_in(self, text: str, duration_ms: float) -> str:
        """Return the words at the beginning of a text whose sound is in its first milliseconds."""
        return words_heard(text, duration_ms, self._character_ms)


class Paces:
    """The paces of the voices that a process has heard."""

    def __init__(self) -> None:
        self._paces: dict[tuple[object, ...], Pace] = {}

    def of(self, settings: RealtimeSettings) -> Pace:
        """Return the pace of a session's voice."""
        voice = (settings.model, settings.voice, settings.speed)
        return self._paces.setdefault(voice, Pace(TYPICAL_CHARACTER_MS / settings.speed))


PROCESS_PACES = Paces()
"""What the calls of this process have heard."""


def words_heard(text: str, heard_ms: float, character_ms: float) -> str:
    """Return the words of a text that were heard in its first milliseconds: a part of a word is none."""
    end = int((heard_ms + HEARD_TOLERANCE_MS) / character_ms) if heard_ms else 0
    if end >= len(text):
        return text
    if text[end].isspace():
        return text[:end].rstrip()
    return text[:end].rpartition(" ")[0].rstrip()
