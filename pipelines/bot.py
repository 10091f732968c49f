"""A bot: what a bot author writes, one file each."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Never

from .bot_faults import loading_error
from .bot_profile import BotProfile
from .errors import BotLoadError
from .fallback import Steps, chain

if TYPE_CHECKING:
    from .call import Call
    from .pipeline import Pipeline

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Bot:
    """A named bot; decorate the function that makes a call's pipeline with `bot.pipeline`.

    Args:
        name: Part of the bot's webhook URLs: lower-case letters, digits and hyphens.
        apology: What the carrier says before it hangs up when the bot can't go on and has no `fallback`.
        fallback: What callers get when the bot can't go on: sentences, `TransferTo`, `Voicemail`, in this
            order; then the carrier hangs up. None for the apology alone.
        busy: What a caller too many gets: sentences, `LetRing`, `TransferTo`, `Voicemail`; None for `fallback`.
        max_call_s: The longest a call may last, in seconds; then it is ended.
        max_calls: How many calls the bot takes at a time, over all its processes; None without a limit.

    Raises:
        ValueError: The name can't be part of a URL, or a fallback has no step, or no sentence that can be said.
    """

    def __init__(
        self,
        name: str,
        *,
        apology: str = "Sorry, we can't take your call right now. Please try again later.",
        fallback: Steps | None = None,
        busy: Steps | None = None,
        max_call_s: float = 2 * 60 * 60,
        max_calls: int | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a bot: use lower-case letters, digits and hyphens")
        self.name = name
        self.apology = apology
        self.fallback = chain(apology if fallback is None else fallback)
        self.busy = self.fallback if busy is None else chain(busy)
        self.max_call_s = max_call_s
        self.max_calls = max_calls
        self.version = "unversioned"
        """A hash of the bot file's content, when it was loaded from one."""
        self.path = Path(name)
        """The bot file, when it was loaded from one."""
        self._build: Callable[[Call], Pipeline] | None = None

    @property
    def profile(self) -> BotProfile:
        """What a webhook server has to know of the bot."""
        return BotProfile(self.name, self.version, self.fallback, self.max_calls, self.busy)

    def pipeline(self, build: Callable[[Call], Pipeline]) -> Callable[[Call], Pipeline]:
        """Make `build` the function that makes each call's pipeline."""
        self._build = build
        return build

    def build(self, call: Call) -> Pipeline:
        """Return a pipeline for a call.

        Raises:
            PipelineFormatError: The pipeline's processors don't fit together.
            BotLoadError: No function was given to `bot.pipeline`.
        """
        if self._build is None:
            explanation = "the bot has no pipeline: decorate a function with @bot.pipeline"
            raise BotLoadError(self.path, None, explanation)
        return self._build(call)


def load_bot(path: Path) -> Bot:
    """Import a bot file and return its one `Bot`.

    Raises:
        BotLoadError: The file can't be read or imported, or has no bot or several.
    """
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise BotLoadError(path, None, failure.strerror or str(failure)) from None
    module = _import(path)
    bots = {id(member): member for member in vars(module).values() if isinstance(member, Bot)}
    if len(bots) != 1:
        found = "no Bot" if not bots else f"{len(bots)} Bots"
        raise BotLoadError(path, None, f"the file has {found}; it takes one: bot = Bot({path.stem!r})")
    bot = next(iter(bots.values()))
    bot.version = hashlib.sha256(content).hexdigest()[:12]
    bot.path = path
    return bot


class _AsItIs(SourceFileLoader):
    """Reads a file as it is: Python's cache of bytecode misses a change of the same second and length."""

    def path_stats(self, path: str) -> Never:
        """Have nothing cached."""
        raise OSError(path)


def _import(path: Path) -> ModuleType:
    name = f"callpipe_bot_{path.stem}"
    if path.suffix != ".py":
        raise BotLoadError(path, None, "not a Python file: its name must end in .py")
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsItIs(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        # A bot file may raise anything while it is imported.
        raise loading_error(path, failure) from failure
    return module
