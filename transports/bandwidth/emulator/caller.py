"""An emulated caller: follows a script, packet by packet, by what it hears. Without I/O or clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ...audio.g711 import MULAW_SILENCE, encode_mulaw
from ...speech.interfaces import Voice
from .errors import ScriptError
from .line import PTIME_MS
from .listener import Listener
from .script import CallerScript, CutIn, HangUp, Play, Say, Silence, Step, WaitForBot
from .speech import read_wav, spoken

PACKET_BYTES = 160
SILENT_PACKET = MULAW_SILENCE * PACKET_BYTES

Note = Callable[[str, str, str], None]
"""Takes an event's name, its detail, and the words said."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A step that is ready to be performed.

    Attributes:
        step: The step.
        audio: What it sends, PCMU at 8 kHz; empty for steps that send nothing.
    """

    step: Step
    audio: bytes = field(default=b"", repr=False)


class Caller:
    """Somebody who calls: a script and a voice. May make many calls.

    Args:
        script: What the caller does.
        voice: Speaks the script's texts; a script without texts needs none.

    Raises:
        ScriptError: The script has texts, and there is no voice.
    """

    def __init__(self, script: CallerScript, voice: Voice | None = None) -> None:
        if voice is None and any(isinstance(step, Say | CutIn) for step in script.steps):
            raise ScriptError(f"the script {script.name!r} has texts to say, and the caller has no voice")
        self.script = script
        self._voice = voice
        self._turns: tuple[Turn, ...] | None = None

    def rehearse(self) -> Sequence[Turn]:
        """Make every step ready. It blocks, for seconds the first time, so run it in a thread before the call.

        Raises:
            ScriptError: A WAV file can't be read.
        """
        if self._turns is None:
            self._turns = tuple(Turn(step, self._audio(step)) for step in self.script.steps)
        return self._turns

    def _audio(self, step: Step) -> bytes:
        match step:
            case Say(text=text) | CutIn(say=text) if self._voice is not None:
                return encode_mulaw(spoken(text, self._voice))
            case Play(file=path):
                return encode_mulaw(read_wav(path))
            case _:
                return b""


class _LostPatienceError(Exception):
    """The bot did not do what a step waits for."""


class Performance:
    """One call of a caller.

    Args:
        turns: What the caller does, made ready.
        linger_s: How long the caller stays on the line after that.
        listener: What the caller hears; fed by whoever asks for packets.
        note: Called with what happens.

    Attributes:
        gave_up: The step at which the caller lost patience, None while they have not.
    """

    def __init__(self, turns: Sequence[Turn], linger_s: float, listener: Listener, note: Note) -> None:
        self.gave_up: str | None = None
        self._listener = listener
        self._note = note
        self._linger_ms = linger_s * 1000
        self._answer_after_ms = 0.0  # what the bot began to say before counts for no waiting step
        self._cut_off_ms = 0.0  # since when a waiting step waits anew
        self._packets = self._perform(turns)

    def cut_off(self) -> None:
        """Note that the line went dead in the middle of what the bot said: the caller waits for it to go on."""
        self._answer_after_ms = self._cut_off_ms = self._listener.heard_ms
        self._note("caller waits", "the bot was cut off", "")

    def next_packet(self) -> bytes | None:
        """Return the next 20 ms the caller says, PCMU at 8 kHz; None when the caller hangs up."""
        return next(self._packets, None)

    def _perform(self, turns: Sequence[Turn]) -> Iterator[bytes]:
        for number, turn in enumerate(turns, 1):
            if isinstance(turn.step, HangUp):
                self._note("caller hangs up", "", "")
                return
            try:
                yield from self._turn(turn)
            except _LostPatienceError:
                self.gave_up = f"step {number}, {type(turn.step).__name__}"
                self._note("caller gives up", self.gave_up, "")
                return
        yield from self._silence(self._linger_ms)
        self._note("caller hangs up", "the bot did not", "")

    def _turn(self, turn: Turn) -> Iterator[bytes]:
        match turn.step:
            case Say(text=text):
                yield from self._speak("caller says", turn.audio, text)
            case Play(file=path):
                yield from self._speak("caller plays", turn.audio, path.name)
            case WaitForBot(quiet_ms=quiet_ms, deadline_s=deadline_s):
                yield from self._wait(lambda: self._bot_has_spoken(quiet_ms), deadline_s)
                self._answer_after_ms = self._listener.heard_ms
            case CutIn(after_ms=after_ms, say=text, deadline_s=deadline_s):
                yield from self._wait(lambda: self._bot_speaks_since(after_ms), deadline_s)
                yield from self._speak("caller cuts in", turn.audio, text)
            case Silence(ms=ms):
                yield from self._silence(ms)
            case _:
                raise AssertionError(f"no caller performs {type(turn.step).__name__}")

    def _speak(self, name: str, audio: bytes, words: str) -> Iterator[bytes]:
        self._note(name, f"{len(audio) // 8} ms", words)
        self._answer_after_ms = self._listener.heard_ms
        for start in range(0, len(audio), PACKET_BYTES):
            yield audio[start : start + PACKET_BYTES].ljust(PACKET_BYTES, MULAW_SILENCE)

    def _silence(self, duration_ms: float) -> Iterator[bytes]:
        for _ in range(round(duration_ms / PTIME_MS)):
            yield SILENT_PACKET

    def _wait(self, happened: Callable[[], bool], deadline_s: float) -> Iterator[bytes]:
        began_ms = self._listener.heard_ms
        while not happened():
            if self._listener.heard_ms >= max(began_ms, self._cut_off_ms) + deadline_s * 1000:
                raise _LostPatienceError
            yield SILENT_PACKET

    def _bot_has_spoken(self, quiet_ms: float) -> bool:
        return self._bot_answered() and self._listener.quiet_ms >= quiet_ms

    def _bot_speaks_since(self, after_ms: float) -> bool:
        return self._bot_answered() and self._listener.speaking and self._listener.speaking_ms >= after_ms

    def _bot_answered(self) -> bool:
        began_ms = self._listener.burst_began_ms
        return began_ms is not None and began_ms >= self._answer_after_ms
