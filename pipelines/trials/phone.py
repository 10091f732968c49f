"""Calls bots in virtual time, by a script or step by step, and asserts on what came of it.

`pytest_plugin` makes a fixture of it, and shows how it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from callpipe.transports.bandwidth.emulator import (
    Caller,
    CallerScript,
    HeardWords,
    SeenToolCall,
    load_script,
)
from callpipe.transports.bandwidth.emulator.improvising import ImprovisingCaller
from callpipe.transports.bandwidth.emulator.script import (
    AnyStep,
    CutIn,
    Expect,
    HangUp,
    Play,
    Press,
    Say,
    Silence,
    WaitForBot,
    WaitForHangUp,
    step_name,
)
from callpipe.transports.bandwidth.emulator.sightings import plain_words
from callpipe.transports.realtime.emulator.brains import Script, ScriptedBrain
from callpipe.transports.speech.interfaces import Brain
from callpipe.transports.speech.tones import ToneEar, ToneVoice

from ..bot import Bot, load_bot
from .story import story
from .trial import OpenTrial, Trial, TrialCall, TrialTime, trial_time

AnyBot = Bot | Path | str
"""A bot, or its file."""

AnyScript = CallerScript | Path | str | Sequence[AnyStep]
"""A caller's script, its file, or its steps."""

AnyModel = Script | Path | str | Callable[[], Brain] | None
"""What the model says: a script (see `brains.Script`), its file, or what makes a brain for each session."""


class Phone:
    """Calls bots.

    Args:
        folder: Where journals, transcripts and recordings go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def follow(self, bot: AnyBot, script: AnyScript, *, model: AnyModel = None, **trial: Any) -> Answered:
        """Call a bot with a caller who follows a script, and return what came of it.

        Args:
            bot: The bot, or its file.
            script: What the caller does and expects.
            model: What the model says; without one it greets as it is told to, and understands nothing.
            **trial: Further fields of `trial.Trial`: ``line``, ``faults``, ``recording``, ``max_call_s``,
                ``settings``.

        Raises:
            AssertionError: The caller did not get what they expected.
            BotLoadError: The bot's file can't be used.
            ScriptError: The script, or the model's, can't be followed.
        """
        __tracebackhide__ = True
        _refuse_async_tests()
        held = self._trial(bot, model, trial)
        caller = Caller(_script(script), ToneVoice(), ToneEar())

        async def main(logged: list[str]) -> TrialCall:
            async with held.open(logged) as opened:
                return await opened.call(caller)

        with trial_time() as time:
            call = Answered(time.run(main(time.logged)))
        call.assert_content()
        return call

    @contextmanager
    def dial(self, bot: AnyBot, *, model: AnyModel = None, **trial: Any) -> Generator[LivePhoneCall]:
        """Call a bot and yield the call, for the test to say step by step what the caller does.

        The caller hangs up at the end of the block, unless somebody has before. Takes what `follow` takes.
        """
        _refuse_async_tests()
        held = self._trial(bot, model, trial)
        with trial_time() as time:
            call = LivePhoneCall(time, held)
            try:
                yield call
            finally:
                call.close()

    def _trial(self, bot: AnyBot, model: AnyModel, further: dict[str, Any]) -> Trial:
        called = bot if isinstance(bot, Bot) else load_bot(Path(bot))
        trial = Trial(called, _brain(model), self._folder, **further)
        trial.check()
        return trial


class Answered(TrialCall):
    """A call that is over, with assertions that tell the call's story when they fail."""

    def __init__(self, call: TrialCall) -> None:
        super().__init__(call.report, call.events, call.folder, call.logged)

    def assert_content(self) -> None:
        """The caller got what they expected, and the call ended with somebody hanging up."""
        __tracebackhide__ = True
        wrong = list(self.report.shortcomings)
        if self.report.cause != "hangup":
            wrong.append(f"the call ended with {self.report.cause}: {self.report.ending.explanation}")
        if wrong:
            raise self._failure("; ".join(wrong))

    def assert_heard(self, words: str) -> None:
        """The caller heard the bot say these words, one after the other; case and punctuation don't matter."""
        __tracebackhide__ = True
        if not self._was_heard(words):
            said = " / ".join(repr(heard.text) for heard in self.heard) or "nothing"
            raise self._failure(f"the caller did not hear {words!r}; the bot said {said}")

    def assert_not_heard(self, words: str) -> None:
        """The caller never heard these words."""
        __tracebackhide__ = True
        if self._was_heard(words):
            raise self._failure(f"the caller heard {words!r}")

    def assert_called(self, tool: str, /, **arguments: Any) -> SeenToolCall:
        """The model called a tool, with these among its arguments; return the first such call."""
        __tracebackhide__ = True
        for call in self.called:
            if call.name == tool and call.has(arguments):
                return call
        called = ", ".join(f"{call.name}({_words(call.arguments)})" for call in self.called) or "none"
        raise self._failure(f"the model did not call {tool}({_words(arguments)}); its calls: {called}")

    def assert_not_called(self, tool: str, /) -> None:
        """The model never called a tool."""
        __tracebackhide__ = True
        if any(call.name == tool for call in self.called):
            raise self._failure(f"the model called {tool}")

    def _was_heard(self, words: str) -> bool:
        return plain_words(words) in plain_words(" ".join(heard.text for heard in self.heard))

    def _failure(self, explanation: str) -> AssertionError:
        return AssertionError(f"{explanation}\n\nThe call:\n{story(self)}")


class LivePhoneCall:
    """A call that goes on. Every method returns when the caller has done what it says.

    Each raises `AssertionError` when the bot does not do what the caller waits for, or has hung up.

    Args:
        time: Runs the call, while a method does.
        trial: How it is held.
    """

    def __init__(self, time: TrialTime, trial: Trial) -> None:
        self._time = time
        self._caller = ImprovisingCaller(ToneVoice(), ToneEar())
        self._stack = AsyncExitStack()
        self._opened: OpenTrial
        self._call: asyncio.Task[TrialCall]
        self._time.run(self._begin(trial))

    @property
    def result(self) -> Answered:
        """What came of the call, when it is over.

        Raises:
            RuntimeError: It goes on.
        """
        if not self._call.done():
            raise RuntimeError("the call goes on; its result is there after the with block, or after a hang-up")
        return Answered(self._call.result())

    @property
    def heard(self) -> list[HeardWords]:
        """What the caller has heard the bot say so far."""
        return self._opened.sightings.words

    @property
    def called(self) -> list[SeenToolCall]:
        """The tools that the model has called so far."""
        return self._opened.sightings.tool_calls

    def say(self, text: str) -> None:
        """Say something."""
        __tracebackhide__ = True
        self._do(Say(text=text))

    def play(self, file: Path | str) -> None:
        """Play a WAV file of 16-bit samples."""
        __tracebackhide__ = True
        self._do(Play(file=Path(file)))

    def press(self, keys: str) -> None:
        """Press keys."""
        __tracebackhide__ = True
        self._do(Press(keys=keys))

    def stay_silent(self, ms: float) -> None:
        """Say nothing for a while."""
        __tracebackhide__ = True
        self._do(Silence(ms=ms))

    def wait_for_bot(self, *, quiet_ms: float = 700, deadline_s: float = 15) -> None:
        """Wait until the bot has spoken and then been quiet for a while."""
        __tracebackhide__ = True
        self._do(WaitForBot(quiet_ms=quiet_ms, deadline_s=deadline_s))

    def cut_in(self, say: str, *, after_ms: float, deadline_s: float = 15) -> None:
        """Speak over the bot when it has spoken for a while."""
        __tracebackhide__ = True
        self._do(CutIn(say=say, after_ms=after_ms, deadline_s=deadline_s))

    def expect(self, **wanted: Any) -> None:
        """Wait for what is expected of the bot; takes the fields of a script's `Expect`."""
        __tracebackhide__ = True
        self._do(Expect(**wanted))

    def wait_for_hang_up(self, *, deadline_s: float = 30) -> None:
        """Wait until the bot hangs up."""
        __tracebackhide__ = True
        self._do(WaitForHangUp(deadline_s=deadline_s))

    def hang_up(self) -> None:
        """Hang up."""
        __tracebackhide__ = True
        self._do(HangUp())

    def close(self) -> None:
        """Hang up, unless somebody has, and close the server."""
        self._time.run(self._end())

    async def _begin(self, trial: Trial) -> None:
        self._opened = await self._stack.enter_async_context(trial.open(self._time.logged))
        self._call = asyncio.create_task(self._opened.call(self._caller))

    async def _end(self) -> None:
        if not self._call.done():
            self._caller.do(HangUp())
            await asyncio.wait({self._call})
        await self._stack.aclose()

    def _do(self, step: AnyStep) -> None:
        __tracebackhide__ = True
        if self._call.done():
            self.result.assert_content()
            if isinstance(step, WaitForHangUp) and self.result.ended_by == "bot":
                return
            raise AssertionError(f"the call is over; nobody can {step_name(step)}\n\n{story(self.result)}")
        self._time.run(self._until_done(self._caller.do(step)))
        if self._call.done():
            self.result.assert_content()
            if not isinstance(step, (WaitForHangUp, HangUp, Expect)):
                raise AssertionError(f"the call ended before {step_name(step)}\n\n{story(self.result)}")

    async def _until_done(self, done: asyncio.Event) -> None:
        waiting = asyncio.create_task(done.wait())
        await asyncio.wait({waiting, self._call}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


def _refuse_async_tests() -> None:
    """Raise where an event loop runs already.

    Raises:
        RuntimeError: The test is an async one.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a phone runs an event loop of its own, in virtual time: call it from a plain def test")


def _script(script: AnyScript) -> CallerScript:
    if isinstance(script, CallerScript):
        return script
    if isinstance(script, (str, Path)):
        return load_script(Path(script))
    return CallerScript(steps=tuple(script))


def _brain(model: AnyModel) -> Callable[[], Brain]:
    if callable(model):
        return model
    script = Script() if model is None else model if isinstance(model, Script) else Script.load(Path(model))
    return lambda: ScriptedBrain(script)


def _words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
