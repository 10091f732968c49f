"""What goes from one server's session to the next, so that neither the caller nor the model loses a word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..audio.formats import AudioFormat
from ..call_events import BotTurnFrame
from ..frames import EncodedAudio, ToolCallFrame
from .bot_speech import BotSpeech
from .caller import ANSWER_DEADLINE_S, CallerSpeech
from .caller_audio import CallerAudio
from .dialogue import Dialogue
from .happenings import BotStarted, Happening, SilenceToCover
from .history import History
from .responses import GO_ON, Wish, say_exactly

COVERED_AFTER_S = 0.8
"""How long a caller who is owed an answer may hear nothing because of a failure: before a phrase, and after."""

LOOK_AGAIN_S = 0.1
"""How often it is looked whether the caller has finished speaking, while no server tells it."""

QUIET_MS = 500.0
"""How long a line has to be quiet for the caller not to be speaking."""

CONTINUE = (
    "The line broke off while you were speaking. The caller has heard all that you have said so far. "
    "Go on exactly where your last words end: say none of them again, and do not mention the break."
)


class Handover:
    """Keeps what the next session needs, and works out what it owes.

    Args:
        dialogue: Responses and tool calls.
        speech: The bot's speech.
        caller: Who has the word.
        audio_format: The session's.
        detects_turns: The server tells where the caller's turns begin and end.
        holding_phrase: What covers a silence; None covers none.

    Attributes:
        history: What the conversation has come to.
        audio: The caller's audio that no turn holds yet.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        speech: BotSpeech,
        caller: CallerSpeech,
        *,
        audio_format: AudioFormat,
        detects_turns: bool,
        holding_phrase: EncodedAudio | None = None,
    ) -> None:
        self.audio = CallerAudio(audio_format, detects_turns=detects_turns)
        self.history = History(self.audio.given)
        self._dialogue = dialogue
        self._speech = speech
        self._caller = caller
        self._detects_turns = detects_turns
        self._holding_phrase = holding_phrase
        self._mid_turn = False
        self._cover_at: float | None = None

    def note(self, happened: Iterable[Happening]) -> list[bytes]:
        """Remember what happened; return what the present session has to be told about it."""
        corrections: list[bytes] = []
        for happening in happened:
            match happening:
                case BotStarted(item_id):
                    self.history.bot_began(item_id)
                case BotTurnFrame():
                    corrections += self.history.bot_said(happening)
                case ToolCallFrame():
                    self.history.tool_called(happening)
                case _:
                    pass
        return corrections

    def lost(self, instructions: str, now: float) -> list[Happening]:
        """Note that the session is gone.

        Args:
            instructions: The session's.
            now: The current time in s.
        """
        owed = self.owed(instructions)
        if self._caller.answer_due is not None and self._dialogue.responses.live is None:
            owed = GO_ON
        self._mid_turn = self._mid_turn or self._caller.speaks
        stopped = self._caller.lost()
        happened = self._speech.lost(now)
        self._dialogue.lost(owed)
        self.expect_silence(now)
        return [*stopped, *happened]

    def replay(self, now: float) -> list[bytes]:
        """Return what tells a new session the conversation so far."""
        self._cover_at = None
        if self._mid_turn:  # the server will find the turn in the audio that it is sent
            self._caller.answer_due = now + ANSWER_DEADLINE_S
        self._mid_turn = False
        return self.history.replay(self._speech.words(now))

    @property
    def due(self) -> float | None:
        """When a silence may have to be covered, in s."""
        return self._cover_at

    def expect_silence(self, now: float) -> None:
        """Note that the caller waits for something that takes long."""
        if self._holding_phrase is not None:
            self._cover_at = max(now, self._speech.playhead.ends_at) + COVERED_AFTER_S

    def cover(self, now: float, *, away: bool) -> list[SilenceToCover]:
        """Say that the caller hears nothing although they are owed an answer, each time anew.

        Args:
            now: The current time in s.
            away: There is no session.
        """
        if self._cover_at is None or self._holding_phrase is None or now < self._cover_at:
            return []
        if away and self._detects_turns and self.audio.is_loud(COVERED_AFTER_S * 1000):
            self._mid_turn = True
        speaks = self._mid_turn and not self.audio.is_quiet(COVERED_AFTER_S * 1000)
        if speaks or not (self._mid_turn or self._dialogue.responses.wanted):
            self._cover_at = now + LOOK_AGAIN_S if away else None
            return []
        self._cover_at = max(now, self._speech.playhead.ends_at) + COVERED_AFTER_S
        if self._cover_at > now + COVERED_AFTER_S:
            return []  # something is heard meanwhile
        self._speech.held(self._holding_phrase, now)
        return [SilenceToCover(self._holding_phrase)]

    def owed(self, instructions: str) -> Wish | None:
        """Return what is left of the live response; None when nothing is, or a tool's output asks for it.

        Args:
            instructions: The session's.
        """
        live = self._dialogue.responses.live
        if live is None or live.cut:
            return None
        items = self._speech.of(live.response_id)
        if self._dialogue.has_called(live.response_id):
            return None
        if self._speech.is_unfinished(live.response_id):
            said = [word for item in items for word in self._speech.whole_words(item).split()]
            return _rest(live.wish or GO_ON, said, instructions)
        if live.spoke and not live.calling:
            return None
        return GO_ON if live.spoke else live.wish or GO_ON


def _rest(wish: Wish, said: list[str], instructions: str) -> Wish | None:
    """Return the wish for what an answer has not said yet."""
    if not said:
        return wish
    dictated = (wish.words or "").split()
    if dictated[: len(said)] == said:
        rest = " ".join(dictated[len(said) :])
        return replace(wish, words=rest, instructions=say_exactly(rest)) if rest else None
    return Wish(f"{wish.instructions or instructions}\n\n{CONTINUE}")
