"""What an operator sets, from the environment or a `.env` file."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, FilePath, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError
from .logs import LogFormat

_ENV_FILE = ".env"
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(\w+)\s*=")


class Recording(StrEnum):
    """Whether calls are recorded."""

    OFF = "off"
    ANNOUNCE = "announce"
    """Recorded, after the carrier has said so to the caller."""
    ON = "on"


def _url(*schemes: str) -> AfterValidator:
    def check(text: str) -> str:
        url = urlsplit(text)
        if url.scheme not in schemes or not url.hostname:
            raise ValueError(f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("a URL without credentials, query and fragment")
        return text.rstrip("/")

    return AfterValidator(check)


Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Milliseconds = Annotated[float, Field(ge=0, le=2_000)]
Lag = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HttpUrl = Annotated[str, _url("http", "https")]
ModelUrl = Annotated[str, _url("http", "https", "ws", "wss")]


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < 8:
        raise ValueError("at least 8 characters")
    return secret


def _variable(name: str, default: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(name))


class Settings(BaseSettings):
    """callpipe's settings; each field names its environment variable.

    `load_settings` makes one and words what is wrong.
    """

    model_config = SettingsConfigDict(
        env_file=_ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    openai_api_key: SecretStr | None = _variable("OPENAI_API_KEY", None)
    openai_base_url: ModelUrl = _variable("OPENAI_BASE_URL", "https://api.openai.com/v1")

    bandwidth_account_id: str | None = _variable("BANDWIDTH_ACCOUNT_ID", None)
    bandwidth_application_id: str | None = _variable("BANDWIDTH_APPLICATION_ID", None)
    bandwidth_client_id: str | None = _variable("BANDWIDTH_CLIENT_ID", None)
    bandwidth_client_secret: SecretStr | None = _variable("BANDWIDTH_CLIENT_SECRET", None)
    bandwidth_voice_url: HttpUrl = _variable("BANDWIDTH_VOICE_URL", "https://voice.bandwidth.com/api/v2")
    bandwidth_token_url: HttpUrl = _variable(
        "BANDWIDTH_TOKEN_URL", "https://api.bandwidth.com/api/v1/oauth2/token"
    )

    public_url: HttpUrl | None = _variable("CALLPIPE_PUBLIC_URL", None)
    fallback_url: HttpUrl | None = _variable("CALLPIPE_FALLBACK_URL", None)
    webhook_username: str | None = _variable("CALLPIPE_WEBHOOK_USERNAME", None)
    webhook_password: Annotated[SecretStr, AfterValidator(_long_enough)] | None = _variable(
        "CALLPIPE_WEBHOOK_PASSWORD", None
    )
    data_dir: Path = _variable("CALLPIPE_DATA_DIR", Path("callpipe-data"))
    recording: Recording = _variable("CALLPIPE_RECORDING", Recording.OFF)
    retention_days: Days | None = _variable("CALLPIPE_RETENTION_DAYS", None)
    log: LogFormat = _variable("CALLPIPE_LOG", LogFormat.TEXT)
    prebuffer_ms: Milliseconds = _variable("CALLPIPE_PREBUFFER_MS", 0.0)
    prices: FilePath | None = _variable("CALLPIPE_PRICES", None)
    call_budget_usd: Dollars | None = _variable("CALLPIPE_CALL_BUDGET_USD", None)
    day_budget_usd: Dollars | None = _variable("CALLPIPE_DAY_BUDGET_USD", None)

    max_calls: Count | None = _variable("CALLPIPE_MAX_CALLS", None)
    max_calls_per_runner: Count | None = _variable("CALLPIPE_MAX_CALLS_PER_RUNNER", None)
    max_lag_ms: Lag | None = _variable("CALLPIPE_MAX_LAG_MS", 250.0)
    drain_s: Seconds = _variable("CALLPIPE_DRAIN_S", 600.0)

    def serving(self) -> ServingSettings:
        """Return the settings that a server cannot do without.

        Raises:
            SettingsError: One is missing.
        """
        if self.public_url is None or self.webhook_username is None or self.webhook_password is None:
            needed = {
                "CALLPIPE_PUBLIC_URL": self.public_url,
                "CALLPIPE_WEBHOOK_USERNAME": self.webhook_username,
                "CALLPIPE_WEBHOOK_PASSWORD": self.webhook_password,
            }
            missing = [name for name, setting in needed.items() if setting is None]
            raise SettingsError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: "
                "the carrier needs the server's public URL and the credentials of its webhooks",
                *missing,
            )
        return ServingSettings(
            self.public_url,
            self.webhook_username,
            self.webhook_password.get_secret_value(),
            self.fallback_url,
        )

    def api_key(self) -> str:
        """Return the model's API key.

        Raises:
            SettingsError: It is missing.
        """
        if self.openai_api_key is None:
            raise SettingsError("OPENAI_API_KEY is not set: the realtime model needs it", "OPENAI_API_KEY")
        return self.openai_api_key.get_secret_value()


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """The settings a server needs, all present.

    Attributes:
        public_url: Where the carrier reaches the server, without a slash at the end.
        webhook_username: HTTP Basic user of the carrier's webhooks.
        webhook_password: Its password.
        fallback_url: Where on another host each bot's static fallback is, as ``<bot>.xml``; None for nowhere.
    """

    public_url: str
    webhook_username: str
    webhook_password: str = field(repr=False)
    fallback_url: str | None = None

    @property
    def media_url(self) -> str:
        """The public URL with the scheme of a WebSocket."""
        scheme = "wss" if self.public_url.startswith("https") else "ws"
        return scheme + self.public_url[self.public_url.index("://") :]


_TAKES = {
    "path_not_file": "the path of a file that exists",
    "float_parsing": "a number",
    "greater_than_equal": "milliseconds, 0 to 2000",
    "less_than_equal": "milliseconds, 0 to 2000",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "greater_than": "a number above 0",
    "finite_number": "a number",
}
"""What a setting takes, by pydantic's name of what is wrong with it."""

_TAKES_OF = {
    "CALLPIPE_LOG": f"one of {', '.join(LogFormat)}",
    "CALLPIPE_RECORDING": f"one of {', '.join(Recording)}",
    "CALLPIPE_RETENTION_DAYS": "a number of days, 1 to 36500",
}
"""What a setting takes, whatever is wrong with it."""


def load_settings(**overrides: object) -> Settings:
    """Return the settings of the environment and of `.env`.

    Args:
        **overrides: Fields that are given rather than read.

    Raises:
        SettingsError: A setting is wrong; the message names it and says what it takes. Or there is none of
            that name.
    """
    _refuse_unknown()
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]  pydantic checks them
    except ValidationError as refused:
        first = refused.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        takes = _TAKES_OF.get(name) or _TAKES.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise SettingsError(f"{name} is wrong: it takes {takes}", name) from None


def _refuse_unknown() -> None:
    """Refuse what looks like a setting and is none: a typing error would go unseen.

    Raises:
        SettingsError: A variable of the environment or of `.env` is unknown.
    """
    fields = Settings.model_fields.values()
    aliases = [field.validation_alias for field in fields]
    known = {str(alias.choices[0]) for alias in aliases if isinstance(alias, AliasChoices)}
    named = [(name, name) for name in os.environ]
    named += [(f"{_ENV_FILE}:{line}: {name}", name) for name, line in _lines_of_env_file()]
    for place, name in named:
        if name.startswith("CALLPIPE_") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError(f"{place} is no setting{meant}", name)


def _lines_of_env_file() -> list[tuple[str, int]]:
    try:
        lines = Path(_ENV_FILE).read_text(errors="replace").splitlines()
    except OSError:
        return []
    names = [(_ASSIGNMENT.match(line), number) for number, line in enumerate(lines, 1)]
    return [(found[1], number) for found, number in names if found]
