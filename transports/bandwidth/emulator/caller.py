"""An emulated caller: follows a script, packet by packet, by what it hears. Without I/O or clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, takewhile

from ...audio.g711 import MULAW_SILENCE, encode_mulaw
from ...speech.interfaces import Ear, Voice
from .errors import ScriptError
from .expectations import Expectation, Watch, wanted
from .line import PTIME_MS
from .listener import Listener
from .script import (
    AnyStep,
    CallerScript,
    CutIn,
    Expect,
    HangUp,
    Play,
    Press,
    Say,
    Silence,
    WaitForBot,
    WaitForHangUp,
    WaitingStep,
    step_name,
)
from .sightings import Sightings
from .speech import read_wav, spoken

PACKET_BYTES = 160
SILENT_PACKET = MULAW_SILENCE * PACKET_BYTES

KEY_MS = 200.0
"""How long a key takes to press."""

Note = Callable[[str, str, str], None]
"""Takes an event's name, its detail, and the words said."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A step that is ready to be performed.

    Attributes:
        step: The step.
        audio: What it sends, PCMU at 8 kHz; empty for steps that send nothing.
        place: What reports call the step.
    """

    step: AnyStep
    audio: bytes = field(default=b"", repr=False)
    place: str = ""


class Caller:
    """Somebody who calls: a script, a voice and an ear. May make many calls.

    Args:
        script: What the caller does.
        voice: Speaks the script's texts; a script without texts needs none.
        ear: Understands the bot's words; only a script that expects words needs one.

    Raises:
        ScriptError: The script has texts, and there is no voice.
    """

    def __init__(self, script: CallerScript, voice: Voice | None = None, ear: Ear | None = None) -> None:
        if voice is None and any(isinstance(step, Say | CutIn) for step in script.steps):
            raise ScriptError(f"the script {script.name!r} has texts to say, and the caller has no voice")
        self.script = script
        self.ear = ear
        self._voice = voice
        self._turns: tuple[Turn, ...] | None = None

    def rehearse(self) -> Iterable[Turn | None]:
        """Make every step ready. It blocks, for seconds the first time, so run it in a thread before the call.

        Returns:
            The turns; None stands for a packet of silence, while the caller does not know yet what to do.

        Raises:
            ScriptError: A WAV file can't be read.
        """
        if self._turns is None:
            self._turns = tuple(
                self.turn(step, self.script.place(number)) for number, step in enumerate(self.script.steps, 1)
            )
        return self._turns

    def turn(self, step: AnyStep, place: str) -> Turn:
        """Make one step ready. It blocks.

        Raises:
            ScriptError: Its WAV file can't be read.
        """
        match step:
            case Say(text=text) | CutIn(say=text) if self._voice is not None:
                return Turn(step, encode_mulaw(spoken(text, self._voice)), place)
            case Play(file=path):
                return Turn(step, encode_mulaw(read_wav(path)), place)
            case _:
                return Turn(step, b"", place)


class _LostPatienceError(Exception):
    """The bot did not do what a step waits for."""


class _DisappointedError(Exception):
    """The bot did not do what a step expects."""


class Performance:
    """One call of a caller.

    Args:
        turns: What the caller does, made ready; see `Caller.rehearse`.
        linger_s: How long the caller stays on the line after that.
        listener: What the caller hears; fed by whoever asks for packets.
        note: Called with what happens.
        sightings: What else is known of the call; expectations look there.
        press: Called with each key that is pressed.

    Attributes:
        gave_up: The step at which the caller lost patience, None while they have not.
        expectations: What became of the expectations so far.
    """

    def __init__(
        self,
        turns: Iterable[Turn | None],
        linger_s: float,
        listener: Listener,
        note: Note,
        *,
        sightings: Sightings | None = None,
        press: Callable[[str], None] = lambda _key: None,
    ) -> None:
        self.gave_up: str | None = None
        self.expectations: list[Expectation] = []
        self._listener = listener
        self._note = note
        self._linger_ms = linger_s * 1000
        self._press = press
        self._watch = Watch(listener, sightings or Sightings())
        self._answer_after_ms = 0.0  # what the bot began to say before counts for no waiting step
        self._cut_off_ms = 0.0  # since when a waiting step waits anew
        self._last_words: tuple[bytes, str] | None = None
        self._silent_since_ms = 0.0  # since when the caller has been
        self._turns = iter(turns)
        self._turn: Turn | None = None
        self._over = False
        self._packets = self._perform()

    def cut_off(self) -> None:
        """Note that the line went dead in the middle of what the bot said: the caller waits for it to go on."""
        self._answer_after_ms = self._cut_off_ms = self._listener.heard_ms
        self._note("caller waits", "the bot was cut off", "")

    def next_packet(self) -> bytes | None:
        """Return the next 20 ms the caller says, PCMU at 8 kHz; None when the caller hangs up."""
        self._watch.follow()
        return next(self._packets, None)

    def judge(self) -> None:
        """The call is over: judge what is left of the script by what is known. Does nothing the second time."""
        self._watch.follow()
        if self._over:
            return
        self._over = True
        left = takewhile(lambda turn: turn is not None, self._turns)
        for turn in filter(None, chain([self._turn], left)):
            if isinstance(turn.step, Expect):
                self._judge(turn, turn.step)
            elif isinstance(turn.step, Say | Play | CutIn | Press) and turn is not self._turn:
                name = step_name(turn.step)
                unreached = Expectation(turn.place, f"expected to {name}", False, None, "the call had ended")
                self.expectations.append(unreached)
                return

    def _perform(self) -> Iterator[bytes]:
        for turn in self._turns:
            if turn is None:
                yield SILENT_PACKET
                continue
            self._turn = turn
            try:
                yield from self._performed(turn)
            except _LostPatienceError:
                self.gave_up = turn.place
                self._note("caller gives up", turn.place, "")
                self._over = True
                return
            except _DisappointedError:
                self._hang_up("not what was expected")
                return
            if self._over:
                return
            self._turn = None
        yield from self._silence(self._linger_ms)
        self._hang_up("the bot did not")

    def _hang_up(self, detail: str) -> None:
        self._over = True
        self._note("caller hangs up", detail, "")

    def _performed(self, turn: Turn) -> Iterator[bytes]:
        match turn.step:
            case Say(text=text):
                yield from self._speak("caller says", turn.audio, text)
            case Play(file=path):
                yield from self._speak("caller plays", turn.audio, path.name)
            case Press(keys=keys):
                yield from self._press_keys(keys)
            case WaitForBot(quiet_ms=quiet_ms) as waiting:
                yield from self._wait(lambda: self._bot_has_spoken(quiet_ms), waiting)
                self._answer_after_ms = self._listener.heard_ms
            case CutIn(after_ms=after_ms, say=text) as waiting:
                yield from self._wait(lambda: self._bot_speaks_since(after_ms), waiting)
                yield from self._speak("caller cuts in", turn.audio, text)
            case Expect() as expect:
                yield from self._expect(turn, expect)
            case Silence(ms=ms):
                yield from self._silence(ms)
            case WaitForHangUp() as waiting:
                yield from self._wait(lambda: False, waiting)
            case HangUp():
                self._hang_up("")

    def _speak(self, name: str, audio: bytes, words: str) -> Iterator[bytes]:
        duration_ms = len(audio) / 8
        self._note(name, f"{duration_ms:.0f} ms", words)
        self._answer_after_ms = self._listener.heard_ms
        self._watch.caller_speaks(duration_ms)
        for start in range(0, len(audio), PACKET_BYTES):
            yield audio[start : start + PACKET_BYTES].ljust(PACKET_BYTES, MULAW_SILENCE)
        self._last_words = audio, words
        self._silent_since_ms = self._listener.heard_ms

    def _press_keys(self, keys: str) -> Iterator[bytes]:
        self._note("caller presses", f"{len(keys)} keys", keys)
        self._answer_after_ms = self._listener.heard_ms
        self._watch.caller_speaks(len(keys) * KEY_MS)
        for key in keys:
            self._press(key)
            yield from self._silence(KEY_MS)

    def _silence(self, duration_ms: float) -> Iterator[bytes]:
        for _ in range(round(duration_ms / PTIME_MS)):
            yield SILENT_PACKET

    def _wait(self, happened: Callable[[], bool], step: WaitingStep) -> Iterator[bytes]:
        began_ms = self._listener.heard_ms
        while not happened():
            if self._listener.heard_ms >= max(began_ms, self._cut_off_ms) + step.deadline_s * 1000:
                raise _LostPatienceError
            if self._last_words and self._nobody_speaks_since(step.again_after_s):
                yield from self._speak("caller says again", *self._last_words)
            else:
                yield SILENT_PACKET

    def _nobody_speaks_since(self, seconds: float | None) -> bool:
        """Whether neither side has said a word for so long; None for never."""
        if seconds is None:
            return False
        silent_ms = min(self._listener.heard_ms - self._silent_since_ms, self._listener.quiet_ms)
        return silent_ms >= seconds * 1000

    def _expect(self, turn: Turn, expect: Expect) -> Iterator[bytes]:
        while self._watch.after_ms(expect) is None and self._watch.may_still_come(expect):
            yield SILENT_PACKET
        if not self._judge(turn, expect):
            raise _DisappointedError

    def _judge(self, turn: Turn, expect: Expect) -> bool:
        """Write down what became of an expectation; return whether it was met."""
        after_ms = self._watch.after_ms(expect)
        met = after_ms is not None and after_ms <= expect.within_ms
        instead = "" if met else self._watch.instead(expect)
        self.expectations.append(Expectation(turn.place, wanted(expect), met, after_ms, instead))
        self._note("caller is content" if met else "caller is disappointed", turn.place, "")
        if met:
            self._watch.take(expect)
        return met

    def _bot_has_spoken(self, quiet_ms: float) -> bool:
        return self._bot_answered() and self._listener.quiet_ms >= quiet_ms

    def _bot_speaks_since(self, after_ms: float) -> bool:
        return self._bot_answered() and self._listener.speaking and self._listener.speaking_ms >= after_ms

    def _bot_answered(self) -> bool:
        began_ms = self._listener.burst_began_ms
        return began_ms is not None and began_ms >= self._answer_after_ms
