"""A carrier on this machine: it places calls, interprets BXML and plays media in real time.

`Carrier(...).place_call(Caller(load_script(path), voice))` calls any server that speaks Bandwidth's protocol
and returns a `CallReport`: what the caller really heard, what they said, and all that happened between.
"""

from .caller import Caller
from .carrier import Carrier
from .errors import CarrierEmulatorError, InvalidBxmlError, ScriptError
from .expectations import Expectation
from .faults import (
    BreakStream,
    CarrierDelays,
    CarrierFaults,
    DelayWebhook,
    DoubleWebhook,
    LoseWebhook,
)
from .line import Line
from .live_call import LiveCall
from .measures import Resumption
from .ongoing import TransferTarget
from .playout import Burst, Cut, PlayoutBuffer
from .report import CallReport, CarrierEvent, Ending
from .script import CallerScript, load_script, parse_script
from .sightings import HeardWords, SeenToolCall, Sightings
from .voice_api import EmulatedVoiceApi

__all__ = [
    "BreakStream",
    "Burst",
    "CallReport",
    "Caller",
    "CallerScript",
    "Carrier",
    "CarrierDelays",
    "CarrierEmulatorError",
    "CarrierEvent",
    "CarrierFaults",
    "Cut",
    "DelayWebhook",
    "DoubleWebhook",
    "EmulatedVoiceApi",
    "Ending",
    "Expectation",
    "HeardWords",
    "InvalidBxmlError",
    "Line",
    "LiveCall",
    "LoseWebhook",
    "PlayoutBuffer",
    "Resumption",
    "ScriptError",
    "SeenToolCall",
    "Sightings",
    "TransferTarget",
    "load_script",
    "parse_script",
]
