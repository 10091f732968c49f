"""Bandwidth's Programmable Voice: media messages, transport, BXML, webhooks."""

from .serializer import BandwidthSerializer
from .transport import BandwidthTransport, receive_start

__all__ = ["BandwidthSerializer", "BandwidthTransport", "receive_start"]
