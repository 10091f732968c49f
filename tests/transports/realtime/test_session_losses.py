"""A session whose sockets are lost at any moment: what must hold over all of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from callpipe.transports.realtime.opening import Opened

from .test_session_rules import SEQUENCES, STEPS, AnyServer


class AnyLine(AnyServer):
    """As `AnyServer`, on a line that breaks. Each session's server knows only what that session was told."""

    def __init__(self) -> None:
        super().__init__()
        self.items_of_others: set[str] = set()

    @rule(away_ms=st.sampled_from([0, 0, 300, 2000]), alive=st.booleans())
    def session_is_lost(self, away_ms: int, alive: bool) -> None:
        if alive and not away_ms:
            opened = Opened("m", asked_for="m", set_up=self.session.set_up("m"))
            self.forget_the_server()
            happened = self.session.moved(opened, self.now)
        else:
            self.forget_the_server()
            self.noted(self.session.lost(self.now))
            assert not self.session.outbox
            self.time_passes(away_ms)
            assert not self.session.outbox
            opened = Opened("m", asked_for="m", set_up=self.session.set_up("m"))
            happened = self.session.opened(opened, self.now)
        self.take_replay()
        self.noted(happened)

    def forget_the_server(self) -> None:
        self.to_server.clear()
        self.to_session.clear()
        self.server_live = self.told_live = None
        self.requests_in_flight = 0
        self.items_of_others |= set(self.lengths_ms)
        self.calls = {call_id: 0 for call_id in self.calls if call_id in self.given_out}
        self.incomplete.clear()

    def take_replay(self) -> None:
        """Hold the conversation that the new session is told against what the server would refuse."""
        self.outputs = Counter()
        told: Counter[str] = Counter()
        ids: Counter[str] = Counter()
        others: list[bytes] = []
        for message in self.session.outbox:
            event = json.loads(message)
            if event["type"] != "conversation.item.create":
                others.append(message)
                continue
            assert not others
            item = event["item"]
            ids[item["id"]] += 1
            self.note_replayed(item, told)
            self.to_server.append(event)
        assert all(count == 1 for count in (*told.values(), *ids.values()))
        assert set(told) == set(self.given_out)
        assert set(self.outputs) == self.answered
        self.session.outbox[:] = others

    def note_replayed(self, item: dict[str, Any], told: Counter[str]) -> None:
        if item["type"] == "function_call":
            told[item["call_id"]] += 1
        elif item["type"] == "function_call_output":
            assert told[item["call_id"]]
            self.outputs[item["call_id"]] += 1
        elif item["role"] == "system":
            self.texts[item["content"][0]["text"]] = 0

    def drain(self) -> None:
        kept: list[bytes] = []
        for message in self.session.outbox:
            event = json.loads(message)
            if event["type"] in ("conversation.item.truncate", "conversation.item.delete"):
                assert event["item_id"] not in self.items_of_others
            if event["type"] == "conversation.item.create" and event["item"].get("role") == "assistant":
                continue  # what was heard, in the place of what was told
            kept.append(message)
        self.session.outbox[:] = kept
        super().drain()

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session_is_lost(300, alive=False)
            super().teardown()


AnyLine.TestCase.settings = settings(max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None)
TestAnyLine = AnyLine.TestCase
