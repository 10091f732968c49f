"""Tools that work, fail, hang and misbehave; alone and handed over to pipecat's LLM services."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Mapping
from functools import wraps
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import EndWorkerFrame, Frame, FunctionCallResultProperties
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams
from pydantic import BaseModel, field_validator

from callpipe.processors.tools import Tool, ToolContext, ToolDefinitionError, end_call, tool
from callpipe.processors.tools.answer import Answer
from callpipe.processors.tools.tool import MAX_ATTEMPTS
from callpipe.transports.virtual_time import run_virtual

SECRET = "Zoë Quill, 555 0100"


class Trap(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def spring(cls, word: str) -> str:
        raise LookupError(word)


class UnusualError(BaseException):
    """Neither an Exception nor one of Python's own."""


@tool
def echo(word: str) -> str:
    """Say it back."""
    return word


@tool(name="echo-later", timeout_s=3.0)
async def echo_later(word: str) -> str:
    """Say it back in a while."""
    await asyncio.sleep(1)
    return word


@tool
async def spring(trap: Trap) -> None:
    """Step into a trap."""


def context_of(one: Tool) -> ToolContext:
    return ToolContext(call_id="call_1", tool_name=one.name)


async def answer_of(one: Tool, **arguments: object) -> Answer:
    return await one.answer(json.dumps(arguments), context_of(one))


def failing(failure: BaseException) -> tuple[Tool, Tool]:
    def blocking() -> None:
        """Fail in a thread."""
        raise failure

    async def in_the_loop() -> None:
        """Fail in the event loop."""
        raise failure

    return Tool(blocking), Tool(in_the_loop)


def test_a_tool_is_named_and_timed_by_its_function_or_its_decorator() -> None:
    assert (echo.name, echo.timeout_s, echo.description) == ("echo", 10.0, "Say it back.")
    assert (echo_later.name, echo_later.timeout_s) == ("echo-later", 3.0)
    assert repr(echo) == f"<Tool echo ({__file__}:{echo.function.__code__.co_firstlineno})>"


def test_a_tool_can_be_called_like_its_function() -> None:
    assert echo("hello") == "hello"
    assert run_virtual(echo_later(word="hello")) == "hello"


@pytest.mark.parametrize("name", ["", "book table", "é", "x" * 65, "a.b"])
def test_a_name_the_model_can_not_write_is_refused(name: str) -> None:
    with pytest.raises(ToolDefinitionError, match="its name may have 1 to 64 letters"):
        tool(name=name)(echo.function)


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
def test_a_tool_that_could_wait_forever_is_refused(timeout_s: float) -> None:
    with pytest.raises(ToolDefinitionError, match="its timeout_s is not a number of seconds above 0"):
        tool(timeout_s=timeout_s)(echo.function)


def test_a_tool_is_not_made_twice() -> None:
    with pytest.raises(ToolDefinitionError, match="it is not a function"):
        tool(echo)


async def test_a_blocking_function_runs_in_a_thread() -> None:
    @tool
    def where() -> bool:
        """Tell whether this is the event loop's thread."""
        return threading.current_thread() is threading.main_thread()

    assert await answer_of(where) == Answer("ok", '{"result":false}')


def test_an_asynchronous_function_runs_in_the_event_loop() -> None:
    assert run_virtual(answer_of(echo_later, word="hello")) == Answer("ok", '{"result":"hello"}')


def test_a_wrapped_asynchronous_function_is_awaited() -> None:
    @wraps(echo_later.function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return echo_later(*args, **kwargs)

    assert run_virtual(answer_of(Tool(wrapper), word="hello")) == Answer("ok", '{"result":"hello"}')


@pytest.mark.parametrize("one", [echo, echo_later], ids=["thread", "loop"])
async def test_arguments_that_do_not_fit_are_refused_before_anything_runs(one: Tool) -> None:
    answer = await answer_of(one, word=1)
    assert answer.outcome == "refused"
    assert "`word`: Input should be a valid string." in answer.output


async def test_a_validator_that_breaks_is_an_error() -> None:
    assert (await answer_of(spring, trap={"word": "x"})).outcome == "error"


@pytest.mark.parametrize(
    "failure",
    [
        ValueError(SECRET),
        StopIteration(SECRET),
        StopAsyncIteration(SECRET),
        SystemExit(SECRET),
        GeneratorExit(SECRET),
        asyncio.CancelledError(SECRET),
        TimeoutError(SECRET),
        UnusualError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
    ],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("place", [0, 1], ids=["thread", "loop"])
async def test_whatever_a_tool_raises_is_an_error(failure: BaseException, place: int) -> None:
    answer = await answer_of(failing(failure)[place])
    assert answer.outcome == "error"
    assert json.loads(answer.output) == {"error": "The tool failed. It may or may not have done its work."}


async def test_an_interrupt_raised_in_a_thread_is_the_tools_own() -> None:
    assert (await answer_of(failing(KeyboardInterrupt())[0])).outcome == "error"


def test_an_interrupt_from_the_keyboard_ends_the_event_loop() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_virtual(answer_of(failing(KeyboardInterrupt())[1]))


def test_a_tool_that_hangs_is_answered_at_its_deadline() -> None:
    ended: list[str] = []

    @tool(timeout_s=4)
    async def hang() -> None:
        """Hang."""
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        answer = await answer_of(hang)
        assert asyncio.get_running_loop().time() == pytest.approx(4)
        assert answer.outcome == "timeout"
        assert "no result within 4 seconds" in answer.output
        await asyncio.sleep(0)
        assert ended == ["cancelled"]

    run_virtual(main())


def test_a_tool_that_swallows_its_cancellation_is_answered_at_its_deadline() -> None:
    @tool(timeout_s=4)
    async def stubborn() -> None:
        """Ignore the first cancellation, and fail late."""
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(10)
            raise UnusualError(SECRET) from None

    faults: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        assert (await answer_of(stubborn)).outcome == "timeout"
        assert asyncio.get_running_loop().time() == pytest.approx(4)
        await asyncio.sleep(20)
        gc.collect()

    run_virtual(main())
    assert not faults


async def test_a_thread_that_hangs_is_answered_on_time_and_blocks_only_its_own_tool() -> None:
    release = threading.Event()

    @tool(timeout_s=0.05)
    def hang() -> str:
        """Hang until released."""
        release.wait(30)
        return SECRET

    try:
        began = time.monotonic()
        hung = await asyncio.gather(*(answer_of(hang) for _ in range(MAX_ATTEMPTS)))
        assert time.monotonic() - began < 5
        assert {answer.outcome for answer in hung} == {"timeout"}
        assert (await answer_of(hang)).outcome == "refused"
        assert (await answer_of(echo, word="still here")).outcome == "ok"
    finally:
        release.set()
    async with asyncio.timeout(10):
        while (await answer_of(hang)).outcome == "refused":
            await asyncio.sleep(0.01)
    assert (await answer_of(hang)).outcome == "ok"


def test_whoever_stops_waiting_stops_the_tool() -> None:
    ended: list[str] = []

    @tool
    async def hang() -> None:
        """Hang."""
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        waiting = asyncio.create_task(answer_of(hang))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)

    run_virtual(main())
    assert ended == ["cancelled"]


def test_a_tool_that_fails_does_not_end_the_call() -> None:
    @tool
    async def give_up(context: ToolContext) -> None:
        """Ask for the end and fail."""
        context.end_call()
        raise ValueError

    assert run_virtual(answer_of(end_call)).ends_call
    assert not run_virtual(answer_of(give_up)).ends_call
    assert not run_virtual(answer_of(echo_later, word="x")).ends_call


def test_no_content_reaches_a_log(logged: list[str], caplog: pytest.LogCaptureFixture) -> None:
    def told(word: str) -> object:
        """Return what can't be written."""
        return {word: object()}

    def long(word: str) -> str:
        """Return too much."""
        return word * 10_000

    async def hang(word: str) -> None:
        """Hang."""
        await asyncio.sleep(3600)

    async def main() -> None:
        for one in (*failing(ValueError(SECRET)), echo, Tool(told), Tool(long), Tool(hang, timeout_s=0.01)):
            await answer_of(one, word=SECRET)
            await answer_of(one)
            await one.answer(SECRET, context_of(one))
        await answer_of(spring, trap={"word": SECRET})

    caplog.set_level(0)
    asyncio.run(main(), debug=True)
    assert len(logged) == 6
    assert not [line for line in (*logged, caplog.text) if "Zoë" in line or "555" in line]


class Service:
    """What a tool sees of one of pipecat's LLM services."""

    def __init__(self) -> None:
        self.results: list[tuple[object, FunctionCallResultProperties | None]] = []
        self.pushed: list[tuple[Frame, FrameDirection]] = []

    async def push_frame(self, frame: Frame, direction: FrameDirection) -> None:
        self.pushed.append((frame, direction))

    async def take_result(
        self, result: object, *, properties: FunctionCallResultProperties | None = None
    ) -> None:
        self.results.append((result, properties))

    async def call(self, one: Tool, arguments: Mapping[str, object]) -> None:
        handler = one.function_schema().handler
        assert handler is not None
        fields = SimpleNamespace(
            function_name=one.name,
            tool_call_id="call_1",
            arguments=arguments,
            llm=self,
            result_callback=self.take_result,
            app_resources={"desk": "front"},
        )
        await handler(cast("FunctionCallParams", fields))


def test_a_service_gets_the_schema() -> None:
    schema = echo.function_schema()
    assert schema.to_default_dict() == {
        "name": "echo",
        "description": "Say it back.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    }
    tools = LLMContext(tools=[schema]).tools
    assert isinstance(tools, ToolsSchema)
    assert tools.standard_tools[0].name == "echo"


@tool
async def nothing() -> list[str]:
    """Find nothing."""
    return []


@tool
async def crash() -> None:
    """Crash."""
    sys.exit(1)


@tool
async def look_around(context: ToolContext) -> list[object]:
    """Tell what the context has."""
    return [context.call_id, context.tool_name, context.resources]


@pytest.mark.parametrize(
    ("one", "arguments", "told"),
    [
        (echo_later, {"word": "hi"}, {"result": "hi"}),
        (nothing, {}, {"result": []}),
        (crash, {}, {"error": "The tool failed. It may or may not have done its work."}),
        (look_around, {}, {"result": ["call_1", "look_around", {"desk": "front"}]}),
        (
            nothing,
            {"x": 1},
            {
                "error": "Nothing was done. `x` is not a parameter; the parameters are: none."
                " Correct the arguments and call again."
            },
        ),
    ],
)
def test_a_service_gets_one_result(one: Tool, arguments: Mapping[str, object], told: object) -> None:
    service = Service()
    run_virtual(service.call(one, arguments))
    assert service.results == [(told, None)]
    assert not service.pushed


def test_a_service_is_told_to_end_the_call_after_its_one_result() -> None:
    service = Service()
    run_virtual(service.call(end_call, {}))
    [(result, properties)] = service.results
    assert result == {"result": "The call ends once the caller has heard you."}
    assert properties is not None
    assert properties.run_llm is False
    [(frame, direction)] = service.pushed
    assert isinstance(frame, EndWorkerFrame)
    assert direction is FrameDirection.UPSTREAM
