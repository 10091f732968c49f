"""Errors of the realtime emulator."""

from __future__ import annotations

from ...errors import TransportsError


class RequestError(TransportsError):
    """A client event can't be served; the session answers with an `error` event and goes on.

    Attributes:
        message: What is wrong, for the client's author.
        code: The API's machine-readable name of the error.
        param: The path of the field that is wrong, such as ``session.audio.input.format.rate``.
    """

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(f"{code}{f' at {param}' if param else ''}")
        self.message = message
        self.code = code
        self.param = param
