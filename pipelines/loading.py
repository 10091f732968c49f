"""Loads a bot file and makes sure that it can answer calls."""

from __future__ import annotations

from pathlib import Path

from .bot import Bot, load_bot, loading_error
from .call import rehearsal_call
from .pipeline import Pipeline
from .settings import Settings


def built(bot: Bot, settings: Settings) -> Pipeline:
    """Build a bot's pipeline without a call.

    Raises:
        BotLoadError: The bot's function failed; the error names the line.
    """
    try:
        return bot.build(rehearsal_call(bot.name, settings))
    except Exception as failure:
        # A bot author's function may raise anything; its line is what the author needs.
        raise loading_error(bot.path, failure) from failure


def load_to_serve(path: Path, settings: Settings) -> Bot:
    """Load a bot whose pipeline fits, and whose model has a key.

    Raises:
        BotLoadError: The file can't be used, or its pipeline can't be built.
        SettingsError: A setting is missing that the bot needs.
    """
    bot = load_bot(path)
    pipeline = built(bot, settings)
    if any(joint.processor == "RealtimeLLM" for joint in pipeline.joints):
        settings.api_key()
    return bot
