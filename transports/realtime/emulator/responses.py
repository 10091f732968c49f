"""The responses of a session: at most one writes to the conversation, others run out of band."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...audio.formats import AudioFormat
from ...speech.interfaces import CallTool, Heard, Say, ToolOutput
from .client_events import InputItem, ItemReference, ResponseOutput, ResponseParameters
from .client_items import Hear, conversation_item
from .configuration import Configuration, FunctionTool, audio_format
from .conversation import Conversation, context, history, system_messages
from .errors import RequestError
from .items import Item
from .response import Response, ResponseSettings
from .server_events import ServerEvents
from .usage import ContextPart, PromptCache, Tokens, text_tokens


@dataclass(frozen=True, slots=True)
class BrainView:
    """What a brain is told when it is asked for an answer.

    Attributes:
        instructions: The response's instructions, with what system messages added to them.
        tools: Each with ``name``, ``description`` and ``parameters``.
        history: What was said and done, oldest first.
    """

    instructions: str = field(repr=False)
    tools: Sequence[dict[str, object]]
    history: Sequence[Heard | Say | CallTool | ToolOutput] = field(repr=False)


class Responses:
    """Creates responses and knows which of them are live.

    Attributes:
        has_spoken: Whether the model has given audio, after which its voice can't change.
    """

    def __init__(self, conversation: Conversation, events: ServerEvents) -> None:
        self.has_spoken = False
        self._conversation = conversation
        self._events = events
        self._cache = PromptCache()
        self._live: dict[str, Response] = {}

    @property
    def current(self) -> Response | None:
        """The live response that writes to the conversation."""
        responses = (live for live in self._live.values() if live.settings.conversation is not None)
        return next(responses, None)

    def create(
        self, configuration: Configuration, wishes: ResponseParameters | None
    ) -> tuple[Response, list[Hear]]:
        """Begin a response, and tell which audio of its own input has to be heard before.

        Raises:
            RequestError: Another one writes to the conversation, or the wishes can't be fulfilled.
        """
        wishes = wishes or ResponseParameters()
        in_band = wishes.conversation != "none"
        if in_band and self.current is not None:
            raise RequestError(
                f"Conversation already has an active response in progress: {self.current.id}. "
                "Wait until the response is finished before creating a new one.",
                "conversation_already_has_active_response",
            )
        own_input, unheard = self._own_input(wishes.input, audio_format(configuration.audio.input.format))
        settings = self._settings(configuration, wishes, own_input, in_band=in_band)
        read, cached = self._cache.read(self._context(settings))
        response = Response(settings, self._events, read, cached)
        self._live[response.id] = response
        return response, unheard

    def find(self, response_id: str | None) -> Response:
        """Return a live response by its id, by default the one that writes to the conversation.

        Raises:
            RequestError: There is none.
        """
        found = self.current if response_id is None else self._live.get(response_id)
        if found is None:
            raise RequestError("Cancellation failed: no active response found", "response_cancel_not_active")
        return found

    def ended(self, response: Response) -> None:
        """Forget a response that is done."""
        self._live.pop(response.id, None)
        self.has_spoken = self.has_spoken or response.audio_ms > 0

    def view(self, response: Response) -> BrainView:
        """Return what a brain is told now."""
        settings = response.settings
        items = self._input(settings)
        instructions = "\n\n".join([settings.instructions, *system_messages(items)])
        tools = [tool.model_dump(include={"name", "description", "parameters"}) for tool in settings.tools]
        return BrainView(instructions, tools, history(items))

    def _own_input(
        self, brought: Sequence[InputItem] | None, caller_format: AudioFormat
    ) -> tuple[list[Item] | None, list[Hear]]:
        if brought is None:
            return None, []
        items: list[Item] = []
        unheard: list[Hear] = []
        for item in brought:
            if isinstance(item, ItemReference):
                items.append(self._conversation.retrieve(item.id))
            else:
                new, audio = conversation_item(item, self._events.new_id, caller_format)
                items.append(new)
                unheard += audio
        return items, unheard

    def _settings(
        self,
        configuration: Configuration,
        wishes: ResponseParameters,
        own_input: Sequence[Item] | None,
        *,
        in_band: bool,
    ) -> ResponseSettings:
        output = configuration.audio.output
        wished = (wishes.audio.output if wishes.audio else None) or ResponseOutput()
        voice = wished.voice or output.voice
        if voice != output.voice:
            self.check_voice_may_change()
        tool_choice = wishes.tool_choice or configuration.tool_choice
        tools: Sequence[FunctionTool] = configuration.tools if wishes.tools is None else wishes.tools
        instructions = configuration.instructions if wishes.instructions is None else wishes.instructions
        return ResponseSettings(
            instructions=instructions,
            tools=() if tool_choice == "none" else tools,
            modality=(wishes.output_modalities or configuration.output_modalities)[0],
            wire_format=wished.format or output.format,
            voice=voice,
            max_output_tokens=wishes.max_output_tokens or configuration.max_output_tokens,
            metadata=wishes.metadata,
            input=own_input,
            conversation=self._conversation if in_band else None,
        )

    def check_voice_may_change(self) -> None:
        """Refuse another voice once the model has spoken.

        Raises:
            RequestError: It has.
        """
        speaking = any(live.audio_ms > 0 for live in self._live.values())
        if self.has_spoken or speaking:
            raise RequestError(
                "Cannot update a conversation's voice if assistant audio is present.", "cannot_update_voice"
            )

    def _input(self, settings: ResponseSettings) -> Iterable[Item]:
        return self._conversation if settings.input is None else settings.input

    def _context(self, settings: ResponseSettings) -> list[ContextPart]:
        tools = json.dumps([tool.model_dump() for tool in settings.tools]) if settings.tools else ""
        texts = (settings.instructions, tools)
        return [
            *(ContextPart((text,), Tokens(text=text_tokens(text))) for text in texts),
            *context(self._input(settings)),
        ]
