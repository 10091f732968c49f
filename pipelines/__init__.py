"""Puts calls together: bots, pipelines, the life of a call, the server."""

from .bot import Bot
from .call import Call, Parties
from .fallback import LetRing, SaySentence, TransferTo, Voicemail
from .pipeline import Pipeline
from .ready_made import passthrough_call, realtime_call, recorder

__all__ = [
    "Bot",
    "Call",
    "LetRing",
    "Parties",
    "Pipeline",
    "SaySentence",
    "TransferTo",
    "Voicemail",
    "passthrough_call",
    "realtime_call",
    "recorder",
]
