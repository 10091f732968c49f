"""callpipe itself: the server, admission, journal and recorder on, with a bot that has tools.

The variant is `passthrough` or `transcoding`.
"""

from pathlib import Path

import uvloop
from host import arguments
from pydantic import SecretStr

from callpipe.pipelines import Bot, Call, Pipeline, passthrough_call, realtime_call
from callpipe.pipelines.records.call_records import CallRecords
from callpipe.pipelines.server import Server, settle_memory
from callpipe.pipelines.settings import Recording, Settings
from callpipe.pipelines.switchboard import Switchboard
from callpipe.processors.tools import end_call, tool

told = arguments()
bot = Bot("bench")


@tool
async def book_table(name: str, party_size: int) -> dict[str, str | int]:
    """Book a table for today.

    Args:
        name: The name the booking is under.
        party_size: How many people will come.
    """
    return {"name": name, "party_size": party_size}


@bot.pipeline
def answer(call: Call) -> Pipeline:
    pipeline = passthrough_call if told.variant == "passthrough" else realtime_call
    return pipeline(call, instructions=f"You answer call {call.call_id}.", tools=[book_table, end_call])


async def main(data_dir: Path) -> None:
    settings = Settings(
        openai_api_key=SecretStr("key"),
        openai_base_url=told.model,
        public_url=f"http://127.0.0.1:{told.port}",
        webhook_username="carrier",
        webhook_password=SecretStr("password"),
        data_dir=data_dir,
        recording=Recording.ON,
    )
    switchboard = Switchboard([bot], settings, CallRecords(data_dir))
    settle_memory()
    await Server(switchboard, settings, Server.listen("127.0.0.1", told.port)).run()


uvloop.run(main(Path.cwd()))
