"""What a demo may show: calls by the scripts that are shipped, or by a script of the operator's own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from callpipe.transports.bandwidth.emulator import CallerScript, load_script, parse_script
from callpipe.transports.speech.demo_words import random_booking

from .drills.show import DRILLS
from .errors import DemoError

_SHIPPED = resources.files("callpipe.pipelines") / "scenarios"


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A caller who follows a script.

    Attributes:
        script: What the caller does and expects.
        summary: What the caller wants, for people; empty where that is no secret of the script.
        told: What the demo's figures tell of it.
    """

    script: CallerScript
    summary: str = ""
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a demo may show.

    Attributes:
        what: What happens, for people.
        make: Makes a call of it; it blocks while it reads files.
    """

    what: str
    make: Callable[[], ScriptedCall]


def _shipped(name: str) -> Callable[[], ScriptedCall]:
    return lambda: ScriptedCall(_read(name, {}))


def _booking() -> ScriptedCall:
    booking = random_booking(random.SystemRandom())
    values = {name: str(value) for name, value in asdict(booking).items()}
    told = {"name": booking.name, "party_size": booking.party_size, "time": booking.time}
    wish = f"a table for {booking.party_size} at {booking.time}, for {booking.name}"
    return ScriptedCall(_read("booking", values), f"The caller will ask for {wish}.", {"booking": told})


def _read(name: str, values: Mapping[str, str]) -> CallerScript:
    """Read a script that is shipped; `$name` in it stands for a value."""
    text = (_SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_script(Template(text).substitute(values), source=f"{name}.yaml")


DEFAULT = "booking"

SCENARIOS: Mapping[str, Scenario] = {
    DEFAULT: Scenario("books a table, asks for the opening hours, cuts in, says goodbye", _booking),
    "barge-in": Scenario("cuts into the greeting, and into an answer", _shipped("barge-in")),
    "goodbye": Scenario("says goodbye to the greeting", _shipped("goodbye")),
    "silence": Scenario("says nothing, and hangs up", _shipped("silence")),
}
"""What is shipped, by name."""


def find_scenario(named: str) -> Scenario:
    """Return a scenario that is shipped, or that of a caller's script.

    Args:
        named: Its name, or the path of a YAML file.

    Raises:
        DemoError: There is none of that name.
    """
    if named in SCENARIOS:
        return SCENARIOS[named]
    path = Path(named)
    if path.suffix not in (".yaml", ".yml"):
        known = ", ".join([*SCENARIOS, *DRILLS])
        raise DemoError(f"{named!r} is no scenario: there are {known}, or give a script, FILE.yaml")
    return Scenario(f"follows {path}", lambda: ScriptedCall(load_script(path)))
