"""Which runner takes a call, which are kept warm, and when there is no room."""

from typing import Any

import pytest

from callpipe.pipelines.bot_profile import BotProfile
from callpipe.pipelines.ongoing import SUSPECT_DEATHS, OngoingCall
from callpipe.pipelines.parties import Parties
from callpipe.pipelines.runners.messages import Beat, Held
from callpipe.pipelines.runners.roster import KnownRunner, Roster
from callpipe.pipelines.runs import Role


def runner(name: str, *, bot: str = "a", **changed: Any) -> KnownRunner:
    profile = BotProfile(bot, "v1", ())
    state: dict[str, Any] = {"revision": 1, "workers": 1, "heard_at": 0.0, **changed}
    return KnownRunner(name, 1, profile, **state)


def roster_of(*runners: KnownRunner, per_runner: int | None = None, max_lag_ms: float | None = None) -> Roster:
    roster = Roster(per_runner=per_runner, max_lag_ms=max_lag_ms)
    for each in runners:
        roster.add(each)
    return roster


def call(call_id: str = "c", *, bot: str = "a", deaths: int = 0) -> OngoingCall:
    return OngoingCall(call_id, bot, Parties(), 0.0, deaths=deaths)


def give(to: KnownRunner, *call_ids: str, generation: int = 1) -> None:
    for call_id in call_ids:
        to.note(Held(call_id, generation))


def test_a_call_goes_where_the_fewest_are() -> None:
    busy, idle = runner("1", workers=2), runner("2", workers=2)
    give(busy, "c-1", "c-2")
    give(idle, "c-3")
    assert roster_of(busy, idle).choose(call()) is idle


def test_runners_beyond_the_workers_are_kept_warm() -> None:
    first, second, warm = (runner(name, workers=2) for name in "123")
    give(first, "c-1", "c-2")
    give(second, "c-3")
    roster = roster_of(first, second, warm)
    assert roster.choose(call()) is second
    roster.remove(first)
    assert roster.choose(call()) is warm


def test_a_bot_gets_no_other_bots_runner() -> None:
    roster = roster_of(runner("1", bot="b"))
    assert roster.choose(call()) is None
    assert not roster.room("a")
    assert [each.name for each in roster.of("b")] == ["1"]


def test_a_call_stays_with_the_runner_that_has_it() -> None:
    busy, idle = runner("1", workers=2), runner("2", workers=2)
    give(busy, "c", "c-1", "c-2")
    roster = roster_of(busy, idle)
    assert roster.choose(call()) is busy
    assert roster.holder("c") is busy
    assert roster.holder("c", 1) is busy
    assert roster.holder("c", 2) is None


def test_a_draining_runner_gets_no_call_of_its_own_nor_a_new_one() -> None:
    draining, other = runner("1", draining=True), runner("2")
    give(draining, "c")
    assert roster_of(draining, other).choose(call()) is other


def test_where_all_are_draining_a_call_is_better_there_than_nowhere() -> None:
    draining = runner("1", draining=True)
    roster = roster_of(draining)
    assert roster.choose(call()) is draining
    assert not roster.room("a")


def test_a_newer_revision_drains_the_older_once() -> None:
    old, new = runner("1", revision=1), runner("2", revision=2)
    roster = roster_of(old)
    assert roster.add(new) == [old]
    assert old.draining
    assert roster.add(runner("3", revision=2)) == []
    assert roster.add(runner("4", bot="b")) == []
    late = runner("5", revision=1)
    assert roster.add(late) == [late]


def test_a_suspect_goes_where_no_call_is_and_nobody_follows_it() -> None:
    busy, warm = runner("1"), runner("2")
    give(busy, "c-1")
    roster = roster_of(busy, warm)
    suspect = call("c-2", deaths=SUSPECT_DEATHS)
    assert roster.choose(suspect) is warm
    warm.suspects.add("c-2")
    give(warm, "c-2")
    assert roster.choose(call("c-3")) is busy
    roster.remove(busy)
    assert roster.choose(call("c-3")) is warm


def test_a_suspect_without_a_runner_of_its_own_goes_where_the_fewest_are() -> None:
    busy, less = runner("1", workers=2), runner("2", workers=2)
    give(busy, "c-1", "c-2")
    give(less, "c-3")
    assert roster_of(busy, less).choose(call(deaths=SUSPECT_DEATHS)) is less


def test_a_suspect_is_forgotten_with_its_last_generation() -> None:
    one = runner("1")
    one.suspects.add("c")
    give(one, "c")
    give(one, "c", generation=2)
    one.note(Held("c", 1, ended="caller"))
    assert one.suspects == {"c"}
    one.note(Held("c", 2, ended="caller"))
    assert one.suspects == set()
    assert one.calls == set()


def test_news_of_what_a_runner_never_had_leaves_it_empty() -> None:
    one = runner("1")
    one.note(Held("c", 1, ended="caller"))
    assert one.held == {}


def test_a_runner_that_is_gone_is_forgotten() -> None:
    one = runner("1")
    roster = roster_of(one, runner("2"))
    roster.remove(one)
    roster.remove(one)
    assert [each.name for each in roster] == ["2"]
    assert len(roster) == 1


@pytest.mark.parametrize(("per_runner", "room"), [(None, True), (2, True), (1, False)])
def test_there_is_room_until_each_worker_has_its_number_of_calls(per_runner: int | None, room: bool) -> None:
    first, second, warm = (runner(name, workers=2) for name in "123")
    roster = roster_of(first, second, warm, per_runner=per_runner)
    give(first, "c-1")
    assert roster.room("a")
    give(second, "c-2")
    assert roster.room("a") is room


@pytest.mark.parametrize(("lags_ms", "room"), [((300.0, 250.0), True), ((300.0, 251.0), False)])
def test_there_is_no_room_where_every_worker_is_late(lags_ms: tuple[float, float], room: bool) -> None:
    late = [runner(str(lag_ms), workers=2, beat=Beat(lag_p90_ms=lag_ms)) for lag_ms in lags_ms]
    warm = runner("warm", workers=2)
    assert roster_of(*late, warm, max_lag_ms=250.0).room("a") is room
    assert roster_of(*late, warm).room("a")


def test_a_call_goes_where_room_is_rather_than_where_the_fewest_are() -> None:
    late, busy = runner("1", workers=2, beat=Beat(lag_p90_ms=300.0)), runner("2", workers=2)
    give(busy, "c-1", "c-2")
    assert roster_of(late, busy, max_lag_ms=250.0).choose(call()) is busy
    assert roster_of(late, busy).choose(call()) is late


def test_a_call_that_was_taken_goes_on_where_no_room_is() -> None:
    late, full = runner("1", workers=2, beat=Beat(lag_p90_ms=300.0)), runner("2", workers=2)
    give(full, "c-1", "c-2")
    roster = roster_of(late, full, per_runner=2, max_lag_ms=250.0)
    assert not roster.room("a")
    assert roster.choose(call()) is late


def test_the_warm_runner_takes_calls_while_a_suspect_has_the_worker() -> None:
    worker, warm = runner("1"), runner("2")
    roster = roster_of(worker, warm)
    assert roster.taking("a") == [worker]
    worker.suspects.add("c")
    give(worker, "c")
    assert roster.taking("a") == [warm]
    warm.draining = True
    assert not roster.room("a")
    assert roster.choose(call("c-2")) is worker


def test_a_status_shows_what_each_runner_is_there_for() -> None:
    taking, suspect, warm, older = (runner(name) for name in ("taking", "suspect", "warm", "older"))
    suspect.suspects.add("c-1")
    older.draining = True
    taking.note(Held("c-2", 1, started=True))
    taking.note(Held("c-3", 1))
    states = {state.name: state for state in roster_of(suspect, taking, warm, older).states()}
    assert {name: state.role for name, state in states.items()} == {
        "taking": Role.TAKES_CALLS,
        "suspect": Role.SUSPECT,
        "warm": Role.KEPT_WARM,
        "older": Role.DRAINING,
    }
    assert (states["taking"].live, states["taking"].prepared) == (1, 1)
