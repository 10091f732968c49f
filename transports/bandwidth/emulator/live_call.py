"""An emulated call while it goes on, as the Voice API and a test reach into it."""

from __future__ import annotations

from .bxml_runner import BxmlRunner
from .report import Ending
from .streams import MediaStreams
from .verbs import Credentials, Redirect
from .voice_api import ControlledCall


class LiveCall(ControlledCall):
    """A call that does what the Voice API says, at once and whatever its document is at.

    Args:
        call_id: Its id.
        runner: Runs its documents.
        streams: Its media streams; they go on when another document takes the place of the one that runs.
    """

    def __init__(self, call_id: str, runner: BxmlRunner, streams: MediaStreams) -> None:
        super().__init__()
        self.call_id = call_id
        self._runner = runner
        self._streams = streams

    def complete(self) -> None:
        """End the call."""
        super().complete()
        self._runner.interrupt(Ending("hangup", "bot"))

    def redirect(self, update: dict[str, str]) -> None:
        """Go on with the document of another URL."""
        super().redirect(update)
        self._runner.interrupt(
            Redirect(
                update["redirectUrl"],
                method=update.get("redirectMethod", "POST"),
                credentials=_credentials(update, "username", "password"),
                fallback_url=update.get("redirectFallbackUrl"),
                fallback_method=update.get("redirectFallbackMethod", "POST"),
                fallback_credentials=_credentials(update, "fallbackUsername", "fallbackPassword"),
                tag=update.get("tag"),
            )
        )

    def replace_bxml(self, document: str) -> None:
        """Go on with another document."""
        super().replace_bxml(document)
        self._runner.interrupt(document.encode())

    async def break_stream(self, name: str | None = None, *, abruptly: bool = True) -> None:
        """End a media stream without its stop message.

        Args:
            name: The stream; the oldest that is open when None.
            abruptly: Whether the connection is reset; otherwise it is closed with a close frame.
        """
        await self._streams.break_off(name, abruptly=abruptly)


def _credentials(update: dict[str, str], username: str, password: str) -> Credentials | None:
    if username not in update and password not in update:
        return None
    return Credentials(update.get(username, ""), update.get(password, ""))
