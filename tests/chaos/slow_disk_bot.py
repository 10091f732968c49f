"""The drilled bot on a disk that stalls: every write takes a moment, and some take a second.

Its name is another, so that both can be served side by side.
"""

import os
import random
import time
from typing import Protocol

from callpipe.pipelines import Bot
from callpipe.pipelines.drills import drilled_bot
from callpipe.pipelines.records import journal
from callpipe.processors import disk, wav

STALL_S = float(os.environ.get("STALL_S", "1.0"))
"""The longest that the disk stalls; 0 is a good disk."""

STALLED_SHARE = 0.002
"""Of the writes: at a dozen calls, one every few seconds."""

WRITE_S = 0.000_5


class _WriteAll(Protocol):
    def __call__(self, descriptor: int, content: bytes, position: int | None = None) -> None: ...


def slowed(write_all: _WriteAll) -> _WriteAll:
    """Return `disk.write_all` as it is on a slow disk."""

    def write(descriptor: int, content: bytes, position: int | None = None) -> None:
        stalls = random.random() < STALLED_SHARE
        time.sleep(random.uniform(0.1, 1.0) * STALL_S if stalls else min(WRITE_S, STALL_S))
        write_all(descriptor, content, position)

    return write


journal.write_all = wav.write_all = slowed(disk.write_all)

bot = Bot("slow-disk", apology=drilled_bot.bot.apology)
bot.pipeline(drilled_bot.answer)
