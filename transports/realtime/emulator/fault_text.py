"""Faults as text, for a command line: ``drop@response.output_audio.delta#3``, ``slow-deltas:extra_ms=800``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from ...errors import Fault as Blame
from ...errors import TransportsError
from .faults import After, Fault, Moment, Nth, Place

_WRITTEN = re.compile(r"(?P<name>[a-z-]+)(?::(?P<fields>[^@]*))?(?:@(?P<moment>.+))?")
_MOMENT = re.compile(r"(?P<event>[a-z_.]+(?:#\d+)?|\d+)?(?:\+(?P<seconds>\d+(?:\.\d+)?))?")

FAULTS: Mapping[str, type[Any]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower(): kind for kind in get_args(Fault)
}
"""Every fault, by its name on a command line."""


class FaultTextError(TransportsError):
    """A text describes no fault; the message says what is wrong with it, and how one is written."""

    fault = Blame.OPERATOR


def parse_fault(text: str) -> Fault:
    """Return the fault that a text describes.

    It is written ``NAME:FIELD=VALUE,FIELD=VALUE@MOMENT``, with the names of `faults` in lower case and with
    hyphens. A moment is a server event's number (``7``); its type, and its number among those of its type
    (``response.created#2``; 1 when none is given); either of them with seconds after it
    (``response.created+0.4``); or seconds after the session was opened (``+5``).

    Raises:
        FaultTextError: It describes none.
    """
    written = _WRITTEN.fullmatch(text.strip())
    if written is None or written["name"] not in FAULTS:
        raise FaultTextError(f"{text!r} is no fault; there are {', '.join(sorted(FAULTS))}")
    kind = FAULTS[written["name"]]
    values: dict[str, object] = {}
    for pair in filter(None, (written["fields"] or "").split(",")):
        name, _, value = pair.partition("=")
        values[name.strip()] = value.strip()
    if written["moment"] is not None:
        values["at"] = _moment(text, written["moment"])
    known = {field.name for field in fields(kind)}
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in values]
    if missing or not values.keys() <= known:
        wrong = f"needs {' and '.join(missing)}" if missing else f"has no {min(values.keys() - known)}"
        raise FaultTextError(f"{text!r}: {written['name']} {wrong}; write it as {_form(kind, written['name'])}")
    try:
        return cast("Fault", TypeAdapter(kind).validate_python(values))
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        explanation = f"{text!r}: {first['loc'][0]} is wrong: {first['msg'].lower()}"
        raise FaultTextError(f"{explanation}; write it as {_form(kind, written['name'])}") from None


def _moment(text: str, written: str) -> Moment:
    found = _MOMENT.fullmatch(written)
    if found is None or (found["event"] is None and found["seconds"] is None):
        raise FaultTextError(
            f"{text!r}: {written!r} is no moment; write an event such as response.created#2, +0.4 for seconds"
            " after the session was opened, or both"
        )
    place = None if found["event"] is None else _place(found["event"])
    if found["seconds"] is not None:
        return After(float(found["seconds"]), place)
    assert place is not None
    return place


def _place(written: str) -> Place:
    if written.isdecimal():
        return int(written)
    event_type, _, number = written.partition("#")
    return Nth(event_type, int(number or 1))


def _form(kind: type[Any], name: str) -> str:
    """Return how a fault is written."""
    given = ",".join(f"{field.name}=..." for field in fields(kind) if field.name != "at")
    moment = "@MOMENT" if any(field.name == "at" for field in fields(kind)) else ""
    return f"{name}{f':{given}' if given else ''}{moment}"
