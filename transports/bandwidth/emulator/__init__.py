"""A carrier on this machine: it places calls, interprets BXML and plays media in real time.

`Carrier(...).place_call(Caller(load_script(path), voice))` calls any server that speaks Bandwidth's protocol
and returns a `CallReport`: what the caller really heard, what they said, and all that happened between.
"""

from .caller import Caller
from .carrier import Carrier
from .errors import CarrierEmulatorError, InvalidBxmlError, ScriptError
from .line import Line
from .playout import Burst, Cut, PlayoutBuffer
from .report import CallReport, CarrierEvent, Ending
from .script import CallerScript, load_script, parse_script

__all__ = [
    "Burst",
    "CallReport",
    "Caller",
    "CallerScript",
    "Carrier",
    "CarrierEmulatorError",
    "CarrierEvent",
    "Cut",
    "Ending",
    "InvalidBxmlError",
    "Line",
    "PlayoutBuffer",
    "ScriptError",
    "load_script",
    "parse_script",
]
