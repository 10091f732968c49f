"""Which responses the model owes: to the greeting, to tools' outputs, and for a goodbye."""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import ToolCallFrame
from .client_events import add_tool_output, delete_item
from .events import FunctionCallDone, Item, ItemAdded
from .fillers import Fillers
from .happenings import CallOver, Happening
from .responses import Responses, Wish, say_exactly
from .tool_calls import ToolCalls

FAREWELL_DEADLINE_S = 20.0
"""How long the call goes on at the most once a tool has asked for its end."""


RESTORED = "restored"
"""Stands for the response that made calls which another process left unfinished."""


class Farewell:
    """The end of the call: it waits until a goodbye was generated, and heard.

    Attributes:
        deadline: When it stops waiting, in s; None before it is asked for, and after the call is over.
        asked: A tool has asked for the end.
        needs_no_words: What there is to say already will do; no goodbye is asked for.
        spoken: The goodbye is generated.
        asked_again: A response without a word was followed by one more request.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.asked = False
        self.needs_no_words = False
        self.spoken = False
        self.asked_again = False

    def ask(self, now: float) -> None:
        """Note that a tool asks for the end."""
        if not self.asked:
            self.asked = True
            self.deadline = now + FAREWELL_DEADLINE_S

    def ask_without_words(self, now: float) -> None:
        """Note that the call is to end when the caller has heard what there is to say already."""
        self.ask(now)
        self.needs_no_words = True

    def conclude(self, now: float, *, heard: bool) -> list[CallOver]:
        """Say, once, that the call is over: when the goodbye was heard, or took too long."""
        if self.deadline is None or not (heard or now >= self.deadline):
            return []
        self.deadline = None
        return [CallOver("goodbye heard" if heard else "goodbye not heard")]


class Dialogue:
    """Responses and tool calls, as they depend on each other.

    Args:
        outbox: Where client events go.

    Attributes:
        responses: Which one is live and which are wanted.
        farewell: The end of the call, if a tool asked for it.
    """

    def __init__(self, outbox: list[bytes]) -> None:
        self.responses = Responses()
        self.farewell = Farewell()
        self._fillers = Fillers()
        self._calls = ToolCalls()
        self._outbox = outbox

    def proceed(self, now: float) -> None:
        """Ask for the next response that is owed, unless one is live or asked for."""
        request = self.responses.ask(now)
        if request is not None:
            self._outbox.append(request)

    def cancel(self) -> None:
        """Have the server cancel the response that is live or asked for."""
        cancel = self.responses.cancel()
        if cancel is not None:
            self._outbox.append(cancel)

    def caller_started(self) -> bool:
        """Note that the caller cuts in; return whether a response is stopped by it.

        The server cancels the live response by itself, but not one that it is only now asked for.
        """
        self.responses.want_again()
        live = self.responses.live
        if live is None:
            self.cancel()
            return False
        stopped = not live.cut
        live.cut = True
        return stopped

    def began(self, response_id: str, request_id: str | None) -> str | None:
        """Note that a response is live; return the id of the one that is over thereby, if any.

        The server runs one at a time. One that it began by itself answers the outputs that the conversation
        holds.
        """
        responses = self.responses
        if responses.is_over(response_id):
            return None
        previous = responses.live.response_id if responses.live is not None else ""
        if previous:
            self.over(previous)
        asked = responses.created(response_id, request_id)
        if not asked and self._calls.all_confirmed:
            responses.satisfied()
        return previous or None

    def over(self, response_id: str) -> None:
        """Note that a response is over; want the next one where tools' outputs, or a goodbye, ask for it."""
        response = self.responses.done(response_id)
        if response is None:
            return
        self._follow_up(response_id)
        farewell = self.farewell
        filled = response.wish is not None and response.wish.filler
        if not farewell.asked or farewell.needs_no_words or farewell.spoken or filled:
            return
        farewell.spoken = response.spoke
        if not response.spoke and self.responses.idle and not farewell.asked_again:
            farewell.asked_again = True
            self.responses.want()

    def tool_call(self, item: Item, response_id: str) -> list[ToolCallFrame]:
        """Take an item that is over; return its tool call if it is one that was not seen before.

        One that its response's end cut short can't be run or answered; the conversation is to forget it.
        """
        if item.type != "function_call" or not item.call_id or not item.name:
            return []
        if item.status not in (None, "completed"):
            if self._calls.dropped(item.call_id) and item.id:
                self._outbox.append(delete_item(item.id))
            return []
        if not self._calls.made(item.call_id, response_id):
            return []
        return [ToolCallFrame(call_id=item.call_id, tool_name=item.name, arguments=item.arguments or "")]

    def call_done(self, event: FunctionCallDone, _now: float) -> Sequence[Happening]:
        """Take a tool call whose arguments are complete."""
        item = Item(type="function_call", call_id=event.call_id, name=event.name, arguments=event.arguments)
        return self.tool_call(item, event.response_id)

    def tool_answered(self, call_id: str, output: str, now: float, *, ends_call: bool) -> bool:
        """Send a tool's output, once; want the model to go on when the response's calls are all answered.

        Returns:
            Whether the call was one that waits for its answer.
        """
        self._fillers.drop(call_id)
        response_id = self._calls.answered(call_id)
        if response_id is None:
            return False
        self._outbox.append(add_tool_output(call_id, output))
        if ends_call:
            self.farewell.ask(now)
        if self.responses.is_over(response_id):
            self._follow_up(response_id)
        return True

    def item_added(self, event: ItemAdded, _now: float) -> Sequence[Happening]:
        """Note the echo of a tool's output: the conversation holds it."""
        if event.item.type == "function_call_output" and event.item.call_id:
            self._calls.confirmed(event.item.call_id)
        return ()

    def tool_runs(self, call_id: str, filler: str, *, after_ms: float, now: float) -> None:
        """Note a tool that has begun to run, and what to say when that takes long."""
        if self._calls.is_open(call_id):
            self._fillers.add(call_id, filler, after_ms=after_ms, now=now)

    def filler_due(self, silent_since: float) -> float | None:
        """Return when a filler is due, in s, if the caller has heard nothing since `silent_since`."""
        if not self.responses.idle or self.farewell.asked:
            return None
        return self._fillers.due(silent_since)

    def fill(self, silent_since: float, now: float) -> None:
        """Want a filler that is due."""
        due = self.filler_due(silent_since)
        if due is not None and now >= due:
            self.responses.want(Wish(say_exactly(self._fillers.take(silent_since)), alone=True, filler=True))

    def call_again(self, call_ids: Sequence[str]) -> None:
        """Wait for the answers of calls that no response of this session has made; go on when all are there."""
        self.responses.done(RESTORED)
        for call_id in call_ids:
            self._calls.made(call_id, RESTORED)

    def has_called(self, response_id: str) -> bool:
        """Whether a response has called a tool."""
        return self._calls.made_by(response_id)

    def lost(self, owed: Wish | None) -> None:
        """Note that the session is gone; `owed` is what is left of its live response."""
        live = self.responses.live
        if live is not None and live.response_id:
            self.over(live.response_id)
        self.responses.lost(owed)
        if owed is not None:
            self.farewell.spoken = False

    def goodbye_given(self) -> bool:
        """Whether the goodbye is generated, and nothing is being said after it."""
        if self.farewell.needs_no_words:
            return self.responses.idle
        live = self.responses.live
        return self.farewell.spoken and not (live is not None and live.spoke)

    def _follow_up(self, response_id: str) -> None:
        """Want the model to go on with its tools' outputs, unless it has said goodbye beside the call."""
        if not self._calls.settled(response_id) or self.farewell.needs_no_words:
            return
        if self.farewell.asked and self.responses.spoke(response_id):
            self.farewell.spoken = True
        else:
            self.responses.want()
