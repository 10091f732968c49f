"""Brains for the realtime emulator: one plays a script, one is a demo with small models and rules."""

from .offline import OfflineBrain
from .script import Rule, Script, ScriptedCall, ScriptError
from .scripted import ScriptedBrain

__all__ = ["OfflineBrain", "Rule", "Script", "ScriptError", "ScriptedBrain", "ScriptedCall"]
