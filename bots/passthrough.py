"""The receptionist's brain with PCMU end to end: nothing is decoded, payloads pass untouched."""

from callpipe.bots.receptionist import GREETING, INSTRUCTIONS, book_table, opening_hours
from callpipe.pipelines import Bot, Call, Pipeline, passthrough_call
from callpipe.processors.tools import end_call

bot = Bot("passthrough")


@bot.pipeline
def answer(call: Call) -> Pipeline:
    """Return the call's pipeline: the model hears and speaks PCMU."""
    return passthrough_call(
        call, instructions=INSTRUCTIONS, greeting=GREETING, tools=[opening_hours, book_table, end_call]
    )
