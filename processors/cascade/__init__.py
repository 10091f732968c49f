"""What stock speech-to-text, language and text-to-speech services need on a phone, and scripted ones for tests.

The scripted services are in `callpipe.processors.cascade.scripted`.
"""

from .head import CascadeHead
from .heard_text import HeardText

__all__ = ["CascadeHead", "HeardText"]
