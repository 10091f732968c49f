"""A missing or wrong setting gives one sentence that names it."""

from pathlib import Path

import pytest

from callpipe.pipelines.errors import SettingsError
from callpipe.pipelines.settings import Recording, load_settings

SERVING = {
    "CALLPIPE_PUBLIC_URL": "https://bots.example.com/",
    "CALLPIPE_WEBHOOK_USERNAME": "carrier",
    "CALLPIPE_WEBHOOK_PASSWORD": "long enough",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CALLPIPE_DATA_DIR", "CALLPIPE_RECORDING", *SERVING):
        monkeypatch.delenv(name, raising=False)


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert settings.data_dir == Path("callpipe-data")
    assert settings.recording is Recording.OFF
    assert settings.openai_base_url == "https://api.openai.com/v1"


def test_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("CALLPIPE_RECORDING=on\nOPENAI_API_KEY=from-file\n")
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    settings = load_settings()
    assert settings.recording is Recording.ON
    assert settings.api_key() == "from-environment"


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("CALLPIPE_RECORDING", "maybe", "one of off, announce, on"),
        ("CALLPIPE_RETENTION_DAYS", "a month", "a number of days, 1 to 36500"),
        ("CALLPIPE_RETENTION_DAYS", "0", "a number of days, 1 to 36500"),
        ("CALLPIPE_LOG", "xml", "one of text, json"),
        ("OPENAI_BASE_URL", "ftp://x", "a URL that begins with http:// or https:// or ws:// or wss://"),
        ("BANDWIDTH_VOICE_URL", "voice.bandwidth.com", "a URL that begins with http:// or https://"),
        ("CALLPIPE_WEBHOOK_PASSWORD", "short", "at least 8 characters"),
        ("CALLPIPE_PRICES", "nowhere.yaml", "the path of a file that exists"),
        ("CALLPIPE_CALL_BUDGET_USD", "cheap", "a number"),
        ("CALLPIPE_DAY_BUDGET_USD", "0", "a number above 0"),
        ("CALLPIPE_DAY_BUDGET_USD", "nan", "a number"),
        ("CALLPIPE_PREBUFFER_MS", "-1", "milliseconds, 0 to 2000"),
        ("CALLPIPE_PREBUFFER_MS", "9000", "milliseconds, 0 to 2000"),
        ("CALLPIPE_PUBLIC_URL", "https://u:p@x", "a URL without credentials, query and fragment"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_takes(
    name: str, value: str, takes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"{name} is wrong: it takes {takes}"
    assert refused.value.names == (name,)


def test_a_setting_that_does_not_exist_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("# ours\nPATH=/\nexport CALLPIPE_RECORDNG=on\n")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == ".env:3: CALLPIPE_RECORDNG is no setting; did you mean CALLPIPE_RECORDING?"
    monkeypatch.setenv("CALLPIPE_PUBLICURL", "https://x")
    with pytest.raises(SettingsError, match=r"^CALLPIPE_PUBLICURL .* mean CALLPIPE_PUBLIC_URL\?"):
        load_settings()


def test_missing_serving_settings_are_all_named() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings().serving()
    assert refused.value.names == tuple(SERVING)


def test_the_media_url_is_a_websocket_below_the_public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVING.items():
        monkeypatch.setenv(name, value)
    serving = load_settings().serving()
    assert serving.public_url == "https://bots.example.com"
    assert serving.media_url == "wss://bots.example.com"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        load_settings().api_key()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for name, value in SERVING.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert "sk-secret" not in repr(settings)
    assert "long enough" not in repr(settings) + repr(settings.serving())
