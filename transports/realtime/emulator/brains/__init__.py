"""Brains for the realtime emulator: one plays a script, one is a demo with small models and rules."""

from .offline import OfflineBrain
from .script import RECEPTIONIST, Rule, Script, ScriptedCall, ScriptError
from .scripted import ScriptedBrain

__all__ = ["RECEPTIONIST", "OfflineBrain", "Rule", "Script", "ScriptError", "ScriptedBrain", "ScriptedCall"]
