"""HTTP Basic credentials of those who call the server."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from .errors import AdmissionError
from .settings import ServingSettings

Credentials = Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="callpipe"))]


def check_application(serving: ServingSettings, credentials: HTTPBasicCredentials) -> None:
    """Let those in who know the webhooks' user and password.

    Raises:
        HTTPException: 401, they don't.
    """
    user = secrets.compare_digest(credentials.username.encode(), serving.webhook_username.encode())
    word = secrets.compare_digest(credentials.password.encode(), serving.webhook_password.encode())
    if not (user and word):
        raise unauthorized()


def unauthorized() -> HTTPException:
    """Return the answer to wrong credentials."""
    return HTTPException(401, "wrong credentials", {"WWW-Authenticate": 'Basic realm="callpipe"'})


def basic_credentials(authorization: str) -> tuple[str, str]:
    """Return user and password of an HTTP Basic Authorization header.

    Raises:
        AdmissionError: The header is missing or no Basic one.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        username, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        separator = username = password = ""
    if scheme.lower() != "basic" or not separator:
        raise AdmissionError("no credentials")
    return username, password
