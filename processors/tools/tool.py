"""A tool: a function the model may call."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import re
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import EndWorkerFrame, FunctionCallResultProperties
from pipecat.processors.frame_processor import FrameDirection

from .answer import Answer, answer_with, problem
from .context import ToolContext
from .errors import ToolArgumentsError, ToolDefinitionError
from .signature import Signature, name_of, place_of
from .threads import run_in_thread

if TYPE_CHECKING:
    from pipecat.services.llm_service import FunctionCallParams

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_FILLER_AFTER_MS = 1_200.0

MAX_ATTEMPTS = 64
"""Runs of one tool at a time, over all calls of the process, those included that hang after their deadline."""

Told = Callable[[str, str, Answer, float], Awaitable[None]]
"""Takes what became of a tool call."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What OpenAI takes as a function's name (API reference, `tools[].name`)."""


@dataclass(frozen=True)
class _Failure:
    """What a tool's function raised, kept as a value: not every exception can pass through a task."""

    cause: BaseException


class Tool:
    """A function the model may call, with what the model has to know of it.

    Calling the tool calls the function, so that it can be tested like one.

    Args:
        function: Synchronous (it runs in a thread) or asynchronous. It needs a docstring in Google's style and
            a type for each parameter. A parameter annotated `ToolContext` is filled in, and hidden from the
            model.
        name: What the model calls it; the function's name when not given.
        timeout_s: Seconds the function may take; then the model is told so.
        filler: What the model says meanwhile when the function takes long; None for nothing.
        filler_after_ms: For how long the caller must have heard nothing before the filler is said.
        side_effects: Whether running it twice may do harm. One that was running when its process died is run
            again only when it has none; otherwise the model is told that its outcome is unknown.

    Attributes:
        function: The function.
        name: What the model calls it.
        description: What it does: the docstring before its sections.
        parameters: JSON schema of its arguments.
        timeout_s: Seconds it may take.
        filler: What the model says meanwhile, or None.
        filler_after_ms: After how much silence.
        side_effects: Whether running it twice may do harm.

    Raises:
        ToolDefinitionError: The function can't be a tool as it is written.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        filler: str | None = None,
        filler_after_ms: float = DEFAULT_FILLER_AFTER_MS,
        side_effects: bool = True,
    ) -> None:
        self._signature = Signature(function)
        self.function = function
        self.name = name_of(function) if name is None else name
        self.description = self._signature.description
        self.parameters = self._signature.parameters
        self.timeout_s = timeout_s
        self.filler = filler
        self.filler_after_ms = filler_after_ms
        self.side_effects = side_effects
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._attempts: set[asyncio.Future[Any]] = set()
        if not _NAME.fullmatch(self.name):
            raise self._refusal("its name may have 1 to 64 letters, digits, _ and -; give it one with name=")
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise self._refusal("its timeout_s is not a number of seconds above 0; nothing waits forever")
        if filler is not None and not (filler.strip() and 0 <= filler_after_ms < math.inf):
            raise self._refusal("its filler is empty, or its filler_after_ms is no number of milliseconds")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself: no validation, no deadline."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Return the tool's name and place."""
        return f"<Tool {self.name} ({self.place})>"

    @property
    def place(self) -> str:
        """Where the function is written, ``file:line``."""
        return place_of(self.function)

    async def answer(self, arguments: str, context: ToolContext) -> Answer:
        """Run the tool and return what to tell the model. Always answers, and by the deadline.

        Args:
            arguments: As the model wrote them: JSON text, possibly broken.
            context: For the function's `ToolContext` parameters.

        Raises:
            asyncio.CancelledError: The caller was cancelled; so is the function, when it is asynchronous.
        """
        if len(self._attempts) >= MAX_ATTEMPTS:
            logger.error("tool {}: refused, {} runs of it have not ended", self.name, len(self._attempts))
            return problem("refused", "The tool is overloaded and did nothing. Try it later, or go on without.")
        try:
            attempt = self._begin(self._signature.read(arguments, context))
        except ToolArgumentsError as refusal:
            return problem("refused", refusal.explanation)
        # A bot author's pydantic model may raise anything, and there may be no thread left.
        except Exception as failure:  # noqa: BLE001
            return self._failed(failure)
        try:
            await asyncio.wait({attempt}, timeout=self.timeout_s)
        finally:
            # A thread can't be stopped: its attempt stays counted until the function returns.
            if self._is_async and not attempt.done():
                attempt.cancel()
        return self._told(attempt, context)

    def function_schema(self, told: Told | None = None) -> FunctionSchema:
        """Return the tool for pipecat's own LLM services: ``LLMContext(tools=[book.function_schema()])``.

        The handler it carries answers as `ToolRouter` does. pipecat's rules hold beside it: by default it
        cancels a tool when the caller cuts in.

        Args:
            told: Awaited with each call's id, its arguments as JSON text, its answer, and how long it took, in
                ms.
        """
        return FunctionSchema(
            self.name,
            self.description,
            self.parameters["properties"],
            self.parameters["required"],
            handler=functools.partial(self._answer_service, told),
        )

    async def _answer_service(self, told: Told | None, params: FunctionCallParams) -> None:
        """Answer a call that comes from one of pipecat's LLM services."""
        context = ToolContext(call_id=params.tool_call_id, tool_name=self.name, resources=params.app_resources)
        arguments, began_at = json.dumps(dict(params.arguments)), time.monotonic()
        answer = await self.answer(arguments, context)
        if told is not None:
            await told(params.tool_call_id, arguments, answer, (time.monotonic() - began_at) * 1000)
        result = json.loads(answer.output)
        if answer.ends_call:
            await params.result_callback(result, properties=FunctionCallResultProperties(run_llm=False))
            await params.llm.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)
        else:
            await params.result_callback(result)

    def _begin(self, keywords: dict[str, Any]) -> asyncio.Future[Any]:
        """Start the function; what it raises becomes a `_Failure`."""
        attempt: asyncio.Future[Any]
        if self._is_async:
            attempt = asyncio.ensure_future(self._attempt(keywords))
        else:
            attempt = run_in_thread(lambda: self._attempt_blocking(keywords), name=f"tool {self.name}")
        self._attempts.add(attempt)
        attempt.add_done_callback(self._ended)
        return attempt

    async def _attempt(self, keywords: dict[str, Any]) -> object:
        try:
            return await self.function(**keywords)
        # A tool may raise anything, and sys.exit in a task would end the event loop.
        except (Exception, SystemExit) as failure:  # noqa: BLE001
            return _Failure(failure)

    def _attempt_blocking(self, keywords: dict[str, Any]) -> object:
        try:
            return self.function(**keywords)
        # Whatever it raises is the tool's own: signals reach the main thread only.
        except BaseException as failure:  # noqa: BLE001
            return _Failure(failure)

    def _ended(self, attempt: asyncio.Future[Any]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled():
            attempt.exception()  # seen: asyncio would log an unseen one, with its content

    def _told(self, attempt: asyncio.Future[Any], context: ToolContext) -> Answer:
        """Return what the model is told of an attempt that has ended or was given up."""
        if not attempt.done():
            logger.error("tool {}: no result within {:g} s", self.name, self.timeout_s)
            return problem(
                "timeout",
                f"The tool gave no result within {self.timeout_s:g} seconds."
                " It may or may not have done its work.",
            )
        if attempt.cancelled():
            return self._failed(asyncio.CancelledError())
        failure = attempt.exception()
        if failure is not None:
            return self._failed(failure)
        match attempt.result():
            case _Failure(cause):
                return self._failed(cause)
            case result:
                return answer_with(result, tool_name=self.name, ends_call=context.ends_call)

    def _failed(self, failure: BaseException) -> Answer:
        """Log what went wrong without its words, which may be the caller's, and tell the model less."""
        steps = list(traceback.walk_tb(failure.__traceback__))
        place = f" at {steps[-1][0].f_code.co_filename}:{steps[-1][1]}" if steps else ""
        logger.error("tool {}: it raised {}{}", self.name, type(failure).__name__, place)
        return problem("error", "The tool failed. It may or may not have done its work.")

    def _refusal(self, explanation: str) -> ToolDefinitionError:
        return ToolDefinitionError(self.name, self.place, explanation)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    filler: str | None = None,
    filler_after_ms: float = DEFAULT_FILLER_AFTER_MS,
    side_effects: bool = True,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    filler: str | None = None,
    filler_after_ms: float = DEFAULT_FILLER_AFTER_MS,
    side_effects: bool = True,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool: ``@tool``, or ``@tool(timeout_s=20, filler="One moment, please.")``.

    Args:
        function: The function; see `Tool` for what it needs.
        name: What the model calls it; the function's name when not given.
        timeout_s: Seconds the function may take.
        filler: What the model says meanwhile when the function takes long.
        filler_after_ms: For how long the caller must have heard nothing before that.
        side_effects: Whether running it twice may do harm; say False of one that only looks something up.

    Raises:
        ToolDefinitionError: The function can't be a tool as it is written.
    """
    if function is not None:
        return Tool(function, name=name, timeout_s=timeout_s)

    def decorate(decorated: Callable[..., Any]) -> Tool:
        return Tool(
            decorated,
            name=name,
            timeout_s=timeout_s,
            filler=filler,
            filler_after_ms=filler_after_ms,
            side_effects=side_effects,
        )

    return decorate
