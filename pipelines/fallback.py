"""What a caller gets when a bot can't talk to them: a sentence, a person, a voicemail, a ringing line.

Bot(
"reception",
fallback=["I'll put you through to a colleague.", TransferTo("+15555550123"), Voicemail()],
busy=["All lines are busy.", LetRing(20)],
)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

MAX_WORDS = 2_000
"""Characters of a sentence; two minutes of speech are more than anybody listens to."""

_TARGET = re.compile(r"\+[1-9][0-9]{6,14}|sips?:[^\s<>\"]{1,256}")


@dataclass(frozen=True, slots=True)
class SaySentence:
    """The carrier says a sentence.

    Attributes:
        text: The sentence, as plain text.

    Raises:
        ValueError: It is empty, too long, or holds characters that nobody can speak.
    """

    text: str
    kind: Literal["say"] = "say"

    def __post_init__(self) -> None:
        """Refuse what the carrier could not say, when the bot is loaded rather than when it is needed."""
        _check_words(self.text)


@dataclass(frozen=True, slots=True)
class TransferTo:
    """The carrier rings somebody; when they don't answer, the next step follows.

    Attributes:
        target: A phone number in E.164 form, or a SIP URI.
        ring_s: How long they are rung, 1 to 300 s.

    Raises:
        ValueError: The target is neither, or the time is out of bounds.
    """

    target: str = field(repr=False)
    ring_s: float = 25.0
    kind: Literal["transfer"] = "transfer"

    def __post_init__(self) -> None:
        """Refuse what the carrier could not ring."""
        if not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"{self.target!r} can't be called: TransferTo takes a number like +15555550123, or a SIP URI"
            )
        _check_seconds("ring_s", self.ring_s, 1, 300)


@dataclass(frozen=True, slots=True)
class Voicemail:
    """The carrier records what the caller says; the recording stays with the carrier, its id is journaled.

    Attributes:
        prompt: What is said first.
        max_s: How long the recording may get, 1 to 10,800 s.
        silence_s: After how much silence it ends, 1 to 60 s.

    Raises:
        ValueError: The prompt can't be said, or a time is out of bounds.
    """

    prompt: str = "Please leave a message, and hang up when you are done."
    max_s: int = 180
    silence_s: int = 6
    kind: Literal["voicemail"] = "voicemail"

    def __post_init__(self) -> None:
        """Refuse what the carrier could not do."""
        _check_words(self.prompt)
        _check_seconds("max_s", self.max_s, 1, 10_800)
        _check_seconds("silence_s", self.silence_s, 1, 60)


@dataclass(frozen=True, slots=True)
class LetRing:
    """The caller hears it ring; as the first step, without the call being answered.

    Attributes:
        duration_s: For how long, 1 to 300 s.

    Raises:
        ValueError: The time is out of bounds.
    """

    duration_s: int
    kind: Literal["ring"] = "ring"

    def __post_init__(self) -> None:
        """Refuse what the carrier could not do."""
        _check_seconds("duration_s", self.duration_s, 1, 300)


Step = SaySentence | TransferTo | Voicemail | LetRing
Steps = Step | str | Sequence[Step | str]


def chain(steps: Steps) -> tuple[Step, ...]:
    """Return steps as a bot's author may write them: one or several, sentences as plain strings.

    Raises:
        ValueError: There is none, or a sentence can't be said.
    """
    several = [steps] if isinstance(steps, str | Step) else steps
    made = tuple(SaySentence(step) if isinstance(step, str) else step for step in several)
    if not made:
        raise ValueError("a fallback takes at least one step, such as a sentence")
    return made


def _check_words(text: str) -> None:
    if not text.strip() or len(text) > MAX_WORDS:
        raise ValueError(f"a sentence to say takes 1 to {MAX_WORDS} characters; this one has {len(text)}")
    if not all(character.isprintable() or character in "\t\n" for character in text):
        raise ValueError(f"the sentence {text!r} holds characters that can't be spoken; take them out")


def _check_seconds(name: str, seconds: float, least: float, most: float) -> None:
    if not least <= seconds <= most:
        raise ValueError(f"{name} takes {least:g} to {most:g} seconds, not {seconds!r}")
