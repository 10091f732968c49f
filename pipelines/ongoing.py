"""The calls that are going on: who may open their media streams, and how each of them continues.

Plain state: no socket, and the clock is passed in. A call is a row of generations, one media stream each. What
a call does next is decided here from what was stored, never from the order in which webhooks arrive.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from .errors import AdmissionError
from .parties import Parties

TOKEN_LIFETIME_S = 60.0
"""A media stream has to be opened this soon after the BXML that asks for it."""

MAX_UNSTARTED_GENERATIONS = 3
"""Generations in a row that may fail to start; then the call gets the bot's apology."""

MAX_DEATHS_ALONE = 2
"""A call with which so many runners died, each while it had no other call, gets the bot's apology."""

INNOCENT_S = 60.0
"""A runner that dies so long after a generation began did not die of how it began."""

SUSPECT_DEATHS = 2
"""A call with which so many runners died goes on in a runner of its own."""

LATE_S = 60.0
"""Webhooks of a call that is over are let in for so long: the carrier may send them late, or twice."""

RETURN_S = 15.0
"""A call whose media stream was lost is expected back for so long: the carrier gives up a webhook then."""

MAX_REMEMBERED_S = 4 * 60 * 60.0
"""A call that was never heard of again is forgotten after this long."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The bot has ended the call."""

    kind: Literal["hang_up"] = "hang_up"


@dataclass(frozen=True, slots=True)
class Apologise:
    """The bot can't go on: the carrier says a sentence and hangs up.

    Attributes:
        reason: Why, for the journal and the log.
    """

    reason: str
    kind: Literal["apologise"] = "apologise"


Intent = HangUp | Apologise


@dataclass
class Generation:
    """One media stream of a call and the secrets that belong to it alone.

    Attributes:
        number: From 1.
        opened_at: When its BXML was made, monotonic seconds.
        token: Opens the media stream, once.
        webhook_password: Lets the carrier's webhooks about this generation in.
        started: Its media stream has started.
        ended_at: When its pipeline ended, monotonic seconds; None while it runs.
        intent: What the bot wants to happen when the media stream has ended; None when it wanted nothing,
            because it is still talking or because it died.
    """

    number: int
    opened_at: float
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    webhook_password: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    started: bool = False
    ended_at: float | None = None
    intent: Intent | None = None

    @property
    def stream_name(self) -> str:
        """The media stream's name, unique on the call."""
        return f"generation-{self.number}"

    def wants(self, intent: Intent) -> None:
        """Store what happens when the media stream has ended. The first intent counts."""
        if self.intent is None:
            self.intent = intent


@dataclass
class OngoingCall:
    """A call and what is to become of it.

    Attributes:
        call_id: The carrier's id.
        bot: The bot's name.
        parties: Who calls whom.
        answered_at: When its first webhook came, monotonic seconds.
        generations: Its media streams so far, the current one last.
        answers: The BXML given to each webhook, by its name and generation: the same webhook asked twice gets
            the same answer.
        deaths: Runners that died with it.
        deaths_alone: Those of them that had no other call.
        over: Why the carrier ended it; None while it goes on.
    """

    call_id: str
    bot: str
    parties: Parties
    answered_at: float
    generations: list[Generation] = field(default_factory=list[Generation])
    answers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    deaths: int = 0
    deaths_alone: int = 0
    over: str | None = None

    @property
    def current(self) -> Generation:
        """The latest generation."""
        return self.generations[-1]

    @property
    def intent(self) -> Intent | None:
        """What the bot wants to happen when the current media stream has ended."""
        return self.current.intent

    @property
    def suspect(self) -> bool:
        """Whether it may be what runners die of: it is to run where it can do no harm to others."""
        return self.deaths >= SUSPECT_DEATHS

    @property
    def condemned(self) -> bool:
        """Whether runners die of it, and no other is to be tried."""
        return self.deaths_alone >= MAX_DEATHS_ALONE

    def takes_room(self, now: float) -> bool:
        """Whether a runner has the call, or has to be ready for it: it counts against the limits of calls."""
        if self.over is not None or not self.generations:
            return False
        current = self.current
        if current.ended_at is not None:
            return current.intent is None and now - current.ended_at < RETURN_S
        return current.started or (current.intent is None and now - current.opened_at < TOKEN_LIFETIME_S)

    def runner_died(self, now: float, *, alone: bool) -> None:
        """Note that a runner died with the call, and whether it had no other.

        A generation that had gone well for `INNOCENT_S` clears the call of earlier deaths.
        """
        if now - self.current.opened_at > INNOCENT_S:
            self.deaths = self.deaths_alone = 0
        self.deaths += 1
        self.deaths_alone += alone

    def check_unused(self, generation: Generation) -> None:
        """Make sure that a generation waits for its media stream.

        Raises:
            AdmissionError: It has, or had, its stream, or another has followed it.
        """
        if generation.started or generation is not self.current:
            raise AdmissionError("used")

    def check_start(self, generation: Generation, call_id: str, stream_name: str) -> None:
        """Make sure that the `start` on a generation's socket names this very call and generation, once.

        Raises:
            AdmissionError: It names another, or the generation does not wait for its media stream.
        """
        if call_id != self.call_id or stream_name != generation.stream_name:
            raise AdmissionError("another call")
        self.check_unused(generation)

    def open_generation(self, now: float) -> Generation:
        """Begin the next media stream."""
        self.generations.append(Generation(len(self.generations) + 1, now))
        return self.current

    def next_step(self, now: float) -> Intent | Generation:
        """Decide what follows the current media stream: what the bot wanted, or the next generation."""
        if self.intent is not None:
            return self.intent
        if self.condemned:
            return Apologise(f"{self.deaths_alone} runners died with this call alone")
        unstarted = 0
        for generation in reversed(self.generations):
            if generation.started:
                break
            unstarted += 1
        if unstarted >= MAX_UNSTARTED_GENERATIONS:
            return Apologise(f"{unstarted} media streams in a row did not start")
        return self.open_generation(now)


class OngoingCalls:
    """Every call of this server that has not ended.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[str, OngoingCall] = {}
        self._over: dict[str, tuple[float, OngoingCall]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[OngoingCall]:
        return iter(list(self._calls.values()))

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def find(self, call_id: str) -> OngoingCall | None:
        """Return the call with an id, or None."""
        return self._calls.get(call_id)

    def restore(self, calls: Iterable[OngoingCall]) -> None:
        """Take up calls that an earlier process of this server had."""
        self._calls.update({call.call_id: call for call in calls})
        self._forget_orphans()

    def begin(self, call_id: str, bot: str, parties: Parties) -> OngoingCall:
        """Return the call with an id, a new one when it is not known."""
        self._forget_orphans()
        if call_id not in self._calls:
            self._calls[call_id] = OngoingCall(call_id, bot, parties, self._clock())
        return self._calls[call_id]

    def end(self, call_id: str) -> OngoingCall | None:
        """Forget a call that is over; its tokens die with it, its webhooks' credentials after `LATE_S`."""
        now = self._clock()
        oldest_first = list(takewhile(lambda one: now - one[1][0] > LATE_S, self._over.items()))
        for late_id, _ in oldest_first:
            del self._over[late_id]
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._over[call_id] = (now, call)
        return call

    def admit(self, bot: str, username: str, password: str) -> tuple[OngoingCall, Generation]:
        """Let a media socket in, before its handshake completes.

        Args:
            bot: The bot whose media URL was asked for.
            username: ``<call id>.<generation>``, as `StartStream`'s `destinationUsername` said.
            password: The generation's token.

        Raises:
            AdmissionError: The token is unknown, wrong, used or expired, or another call's or generation's.
        """
        call, generation = self._generation(username)
        if call is None or generation is None or call.bot != bot:
            raise AdmissionError("unknown call")
        if not secrets.compare_digest(generation.token.encode(), password.encode()):
            raise AdmissionError("wrong token")
        call.check_unused(generation)
        self._check_fresh(generation)
        return call, generation

    def start(self, call: OngoingCall, generation: Generation, call_id: str, stream_name: str) -> None:
        """Use up a generation's token, when the `start` on its socket names this very call and generation.

        Raises:
            AdmissionError: It names another, or the token was used or has expired meanwhile.
        """
        call.check_start(generation, call_id, stream_name)
        self._check_fresh(generation)
        generation.started = True

    def knows_webhook(self, call_id: str, username: str, password: str) -> Generation | None:
        """Return the generation whose webhook credentials these are, or None when they are nobody's."""
        _, over = self._over.get(call_id, (0.0, None))
        call = self._calls.get(call_id, over)
        generation = None if call is None else _numbered(call, username)
        if generation is None:
            return None
        right = secrets.compare_digest(generation.webhook_password.encode(), password.encode())
        return generation if right else None

    def _check_fresh(self, generation: Generation) -> None:
        if self._clock() - generation.opened_at > TOKEN_LIFETIME_S:
            raise AdmissionError("expired")

    def _generation(self, username: str) -> tuple[OngoingCall | None, Generation | None]:
        call = self._calls.get(username.rpartition(".")[0])
        return call, None if call is None else _numbered(call, username)

    def _forget_orphans(self) -> None:
        oldest = self._clock() - MAX_REMEMBERED_S
        for call_id in [call_id for call_id, call in self._calls.items() if call.answered_at < oldest]:
            del self._calls[call_id]


def _numbered(call: OngoingCall, username: str) -> Generation | None:
    """Return the generation of a call that a username of its stream or its webhooks names."""
    call_id, _, number = username.rpartition(".")
    if call_id != call.call_id or not number.isdecimal() or not 1 <= int(number) <= len(call.generations):
        return None
    return call.generations[int(number) - 1]
