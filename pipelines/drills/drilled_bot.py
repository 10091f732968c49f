"""The bot of the drills: remembers a word, tells a story, looks something up, says goodbye."""

import asyncio

from callpipe.pipelines import Bot, Call, Pipeline, realtime_call
from callpipe.processors.tools import end_call, tool

bot = Bot("drilled", apology="Sorry, this call can't go on.")

LOOK_UP_S = 2.0


@tool
async def look_up(key: str) -> str:
    """Look something up; it takes a while.

    Args:
        key: What.
    """
    await asyncio.sleep(LOOK_UP_S)
    return f"{key} is found"


@bot.pipeline
def answer(call: Call) -> Pipeline:
    """Return the full chain with both tools."""
    return realtime_call(
        call, instructions="You are being drilled.", greeting="hello", tools=[look_up, end_call]
    )
