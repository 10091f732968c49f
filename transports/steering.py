"""Frames that steer the model in the middle of a call.

They work from anywhere in the pipeline: pushed downstream before the model, or upstream behind it, the model's
processor takes them. They are system frames: no interruption drops them, no queue of a stock processor holds
them up, and they keep their order. From a tool or from outside the pipeline, the methods of
`callpipe.pipelines.Call` push them.

    await self.push_frame(SayFrame("Your table is ready."), UPSTREAM)  # from a processor behind the model
    await call.say("Your table is ready.")                             # from anywhere else
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipecat.frames.frames import SystemFrame

if TYPE_CHECKING:
    from .realtime.events import ToolSchema


@dataclass
class SteeringFrame(SystemFrame):
    """What somebody asks of the model's processor, which takes it out of the pipeline.

    Attributes:
        turned: It has come to an end of the pipeline and was sent back.
    """

    turned: bool = field(default=False, init=False)


@dataclass
class SayFrame(SteeringFrame):
    """Let the model say exactly this, once nobody else has the word.

    It waits for the answer in progress and for the caller's turn. A caller who cuts in before its first word
    delays it; one who cuts in later cuts it off, as any answer.

    Attributes:
        text: What to say.
    """

    text: str = field(repr=False)


@dataclass
class TellFrame(SteeringFrame):
    """Add a system message to the conversation: something the model should know from now on.

    Attributes:
        text: The message.
        respond: Let the model answer to it.
    """

    text: str = field(repr=False)
    respond: bool = False


@dataclass
class ChangeFrame(SteeringFrame):
    """Give the session other instructions or tools, from its next response on.

    Attributes:
        instructions: The new ones; None keeps those there are.
        tools: All tools the model may call from now on; None keeps those there are.
    """

    instructions: str | None = field(default=None, repr=False)
    tools: Sequence[ToolSchema] | None = None


@dataclass
class MuteCallerFrame(SteeringFrame):
    """Let the model hear silence instead of the caller, who can't interrupt then.

    A turn in which the caller is already speaking ends by that silence, and is answered.
    """


@dataclass
class UnmuteCallerFrame(SteeringFrame):
    """Let the model hear the caller again.

    Attributes:
        when_heard: Only once the caller has heard all that the bot is saying, and has yet to say.
    """

    when_heard: bool = False


@dataclass
class HoldFrame(SteeringFrame):
    """Send no audio of the caller's to the model, as while they talk to somebody else.

    A turn in which the caller is speaking is dropped. What the bot is saying goes on.
    """


@dataclass
class ResumeFrame(SteeringFrame):
    """End a `HoldFrame`'s hold."""


@dataclass
class EndWhenHeardFrame(SteeringFrame):
    """End the call once the caller has heard all that the bot is saying, and has yet to say."""


@dataclass
class FillerFrame(SteeringFrame):
    """A tool runs: when the caller has heard nothing for a while, let the model say something meanwhile.

    It is said once at the most, not after the tool's result, and once for all tools that run at that time.

    Attributes:
        call_id: The tool call.
        text: What to say.
        after_ms: For how long the caller must have heard nothing since the tool was called.
    """

    call_id: str
    text: str
    after_ms: float


@dataclass
class ToolsChangedFrame(SystemFrame):
    """The model may call other tools from now on; pushed downstream by its processor, for the router.

    Attributes:
        tools: All of them.
    """

    tools: Sequence[ToolSchema]
