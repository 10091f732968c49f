"""A second way to a call: a document the carrier does not come for is brought to it by the Voice API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger

from callpipe.transports.bandwidth.errors import BandwidthError, CallOverError, InvalidIdError
from callpipe.transports.bandwidth.voice_api import VoiceApi

from .errors import SettingsError
from .settings import Settings
from .spawned import Spawned

PATIENCE_S = 1.0
"""How long after a media stream's end the carrier may take to come; it usually takes a round trip."""

DEADLINE_S = 5.0
"""How long bringing a document may take."""

Unasked = Callable[[], Awaitable[str | None]]
"""Returns the document that the carrier has not come for, or None when nothing is to be brought."""


class SecondWay:
    """Watches that the carrier comes for what is to follow a media stream.

    A webhook that is lost on its way would leave a caller on a silent line, after a bot that has said goodbye.

    Args:
        voice_api: Brings documents; without it nothing is watched.
    """

    def __init__(self, voice_api: VoiceApi | None) -> None:
        self._voice_api = voice_api
        self._watching = Spawned()

    def watch(self, call_id: str, unasked: Unasked) -> None:
        """Begin to watch a call whose media stream has ended.

        Args:
            call_id: The call.
            unasked: Asked once, after `PATIENCE_S`.
        """
        if self._voice_api is None:
            return
        self._watching.begin(self._watch(self._voice_api, call_id, unasked))

    async def close(self) -> None:
        """Bring what is still to be brought, within its deadline."""
        await self._watching.done(PATIENCE_S + DEADLINE_S)
        if self._voice_api is not None:
            await self._voice_api.aclose()

    async def _watch(self, voice_api: VoiceApi, call_id: str, unasked: Unasked) -> None:
        await asyncio.sleep(PATIENCE_S)
        try:
            document = await unasked()
            if document is None:
                return
            logger.warning("call {}: the carrier has not come for its BXML, so it is brought", call_id)
            await voice_api.replace_bxml(call_id, document, deadline_s=DEADLINE_S)
        except CallOverError:
            logger.info("call {}: over before its BXML was brought", call_id)
        except BandwidthError as failure:
            logger.error("call {}: its BXML can't be brought: {}", call_id, failure)


def voice_api(settings: Settings, clock: Callable[[], float]) -> VoiceApi | None:
    """Return the Voice API of the operator's account, or None when they have set no client for it.

    Raises:
        SettingsError: Only some of what it needs is set, or the account id can't be one.
    """
    account_id, client_id = settings.bandwidth_account_id, settings.bandwidth_client_id
    secret = settings.bandwidth_client_secret
    if client_id is None and secret is None:
        return None
    if account_id is None or client_id is None or secret is None:
        needed = {
            "BANDWIDTH_ACCOUNT_ID": account_id,
            "BANDWIDTH_CLIENT_ID": client_id,
            "BANDWIDTH_CLIENT_SECRET": secret,
        }
        missing = [name for name, setting in needed.items() if setting is None]
        raise SettingsError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: "
            "the Voice API needs the account, the client and its secret, or none of client and secret",
            *missing,
        )
    try:
        return VoiceApi(
            account_id=account_id,
            client_id=client_id,
            client_secret=secret.get_secret_value(),
            voice_url=settings.bandwidth_voice_url,
            token_url=settings.bandwidth_token_url,
            clock=clock,
        )
    except InvalidIdError as wrong:
        raise SettingsError(f"BANDWIDTH_ACCOUNT_ID is wrong: {wrong}", "BANDWIDTH_ACCOUNT_ID") from None
