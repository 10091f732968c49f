"""What the emulated callers do, and what becomes of a call by what they saw of it."""

import random

from callpipe.transports.bandwidth.emulator import CallerScript, CallReport, parse_script

QUIET_MS = 1_500
"""Longer than what separates the cached phrase from the model's voice, and a story's pieces from each other."""

DEADLINE_S = 60.0
"""How long a caller waits for the bot: through a hung runner, a lost webhook and a killed server."""

AGAIN_S = 8
"""A caller whom nobody answers, because the line was dead or the story is over, says their words again."""

FAREWELL = "goodbye"
QUESTION = "which word was it"
STORY = "tell me a story"
_PATIENCE = f"deadline_s: {DEADLINE_S:g}, again_after_s: {AGAIN_S}"
_WAIT = f"wait_for_bot: {{quiet_ms: {QUIET_MS}, {_PATIENCE}}}"
_TURNS = (
    (f"say: {STORY}", _WAIT),
    (f"say: {STORY}", f"cut_in: {{after_ms: 1500, say: very well then, {_PATIENCE}}}", _WAIT),
    ("say: look it up", _WAIT),
)
"""A story, a story that is cut off, a tool."""


def conversation(chance: random.Random, fact: str, rounds: int = 1) -> CallerScript:
    """Return a caller who has a word remembered, wants a story, a tool, cuts in, and asks for the word."""
    turns = [step for _ in range(rounds) for turn in chance.sample(_TURNS, len(_TURNS)) for step in turn]
    return _script(
        _WAIT,
        f"say: remember {fact} please",
        _WAIT,
        *turns,
        f"say: {QUESTION}",
        _WAIT,
        f"say: {FAREWELL}",
        f"wait_for_hang_up: {{{_PATIENCE}}}",
    )


def greeted() -> CallerScript:
    """Return a caller who hears the greeting and hangs up."""
    return _script(f"wait_for_bot: {{quiet_ms: 200, deadline_s: {DEADLINE_S:g}}}", "hang_up")


def _script(*steps: str) -> CallerScript:
    return parse_script("steps:\n" + "\n".join(f"  - {step}" for step in steps))


GOODBYE, FALLBACK, CALLER = "goodbye", "fallback", "caller"
"""How a call may end: as its scenario has it, by the bot's fallback, or by a caller whose scenario that is."""


def ending_of(report: CallReport, *, caller_leaves: bool = False) -> str:
    """Return how a call ended: one of the above, or why it is lost.

    Args:
        report: The call.
        caller_leaves: It is the caller who hangs up.
    """
    ending = report.ending
    if report.gave_up:
        return f"the caller gave up at {report.gave_up}"
    if ending.cause != "hangup":
        return f"{ending.cause}: {ending.explanation}"
    if ending.ended_by == "caller" and caller_leaves:
        return CALLER
    if ending.ended_by != "bot":
        return f"ended by the {ending.ended_by}"
    if any(event.name == "carrier speaks" for event in report.events):
        return FALLBACK
    said = [event.words for event in report.events if event.name.startswith("caller")]
    return GOODBYE if FAREWELL in said else "the bot hung up before the goodbye"
