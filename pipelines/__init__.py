"""Puts calls together: bots, pipelines, the life of a call, the server."""

from .bot import Bot
from .call import Call, Parties
from .pipeline import Pipeline
from .ready_made import passthrough_call, realtime_call, recorder

__all__ = ["Bot", "Call", "Parties", "Pipeline", "passthrough_call", "realtime_call", "recorder"]
