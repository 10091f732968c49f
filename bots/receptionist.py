"""A restaurant's receptionist: opening hours, a table, goodbye. The full chain, the model at 24 kHz."""

from typing import Literal

from callpipe.pipelines import Bot, Call, Pipeline, realtime_call
from callpipe.processors.tools import end_call, tool

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

INSTRUCTIONS = """You answer the telephone of Luigi's, an Italian restaurant. Speak briefly and warmly.
You can tell the opening hours and book a table. For a table you need a name, the number of people and a time.
When the caller says goodbye, say goodbye and call end_call."""

GREETING = "Luigi's, good evening! How can I help you?"

bot = Bot("receptionist")


@tool
async def opening_hours(day: Weekday) -> dict[str, str]:
    """Tell when the restaurant is open.

    Args:
        day: The day the caller asks about.
    """
    hours = {"monday": "closed", "sunday": "12:00 to 21:00"}
    return {"day": day, "hours": hours.get(day, "17:00 to 23:00"), "kitchen": "closes one hour earlier"}


@tool
async def book_table(name: str, party_size: int, time: str) -> dict[str, str | int]:
    """Book a table for today.

    Args:
        name: The name the booking is under.
        party_size: How many people will come.
        time: When they will come, as HH:MM in 24-hour time.
    """
    return {"booked": "yes", "name": name, "party_size": party_size, "time": time}


@bot.pipeline
def answer(call: Call) -> Pipeline:
    """Return the call's pipeline: from the caller's PCMU to the model, its tools and back."""
    return realtime_call(
        call, instructions=INSTRUCTIONS, greeting=GREETING, tools=[opening_hours, book_table, end_call]
    )
