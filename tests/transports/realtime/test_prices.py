from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpipe.transports.errors import Fault
from callpipe.transports.realtime.events import InputTokens, TokenCounts, TranscriptionUsage, Usage
from callpipe.transports.realtime.prices import (
    PUBLISHED,
    ModelPrices,
    PriceFileError,
    price,
    read_prices,
    response_tokens,
    transcription_tokens,
    use_prices,
)

USAGE = Usage(
    InputTokens(120, 60, 80, TokenCounts(64, 16)),
    TokenCounts(30, 80),
)
KINDS = ["text_in", "audio_in", "cached_text_in", "cached_audio_in", "text_out", "audio_out"]

COUNTS = st.integers(0, 10**7)
TOLD = st.none() | st.integers(-5, 10**7)
TOKENS = st.fixed_dictionaries(dict.fromkeys(KINDS, COUNTS))
SPEAKING = st.sampled_from([name for name, prices in PUBLISHED.models.items() if prices.audio_out is not None])
USAGES = st.builds(
    Usage,
    st.none() | st.builds(InputTokens, TOLD, TOLD, TOLD, st.none() | st.builds(TokenCounts, TOLD, TOLD)),
    st.none() | st.builds(TokenCounts, TOLD, TOLD),
)


@pytest.fixture(autouse=True)
def published() -> Iterator[None]:
    yield
    use_prices(None)


def known(cost: float | None) -> float:
    assert cost is not None
    return cost


def test_no_token_is_counted_twice() -> None:
    assert response_tokens(USAGE) == {
        "text_in": 56,
        "audio_in": 44,
        "cached_text_in": 64,
        "cached_audio_in": 16,
        "text_out": 30,
        "audio_out": 80,
    }


@given(USAGES)
def test_every_input_token_is_counted_once_and_none_is_negative(usage: Usage) -> None:
    tokens = response_tokens(usage)
    told = usage.input_token_details or InputTokens()

    assert list(tokens) == KINDS
    assert min(tokens.values()) >= 0
    assert tokens["text_in"] + tokens["cached_text_in"] == max(told.text_tokens or 0, 0)
    assert tokens["audio_in"] + tokens["cached_audio_in"] == max(told.audio_tokens or 0, 0)


def test_cached_tokens_without_details_are_text_first() -> None:
    tokens = response_tokens(Usage(InputTokens(50, 60, 80), None))

    assert (tokens["cached_text_in"], tokens["cached_audio_in"]) == (50, 30)
    assert (tokens["text_in"], tokens["audio_in"], tokens["audio_out"]) == (0, 30, 0)


def test_a_response_costs_what_the_model_page_says() -> None:
    cost = price("gpt-realtime-2.1", response_tokens(USAGE))

    assert cost == pytest.approx((56 * 4 + 44 * 32 + 80 * 0.40 + 30 * 24 + 80 * 64) / 1e6)


@given(SPEAKING, TOKENS, TOKENS)
def test_the_whole_costs_what_its_parts_cost(model: str, one: dict[str, int], other: dict[str, int]) -> None:
    both = {kind: one[kind] + other[kind] for kind in KINDS}

    assert known(price(model, both)) == pytest.approx(known(price(model, one)) + known(price(model, other)))


@given(SPEAKING, TOKENS, st.sampled_from(KINDS))
def test_more_tokens_cost_more(model: str, tokens: dict[str, int], kind: str) -> None:
    more = tokens | {kind: tokens[kind] + 1000}

    assert known(price(model, more)) > known(price(model, tokens)) >= 0


@given(SPEAKING, TOKENS)
def test_a_cached_token_is_never_dearer(model: str, tokens: dict[str, int]) -> None:
    cached = tokens | {
        "text_in": 0,
        "audio_in": 0,
        "cached_text_in": tokens["cached_text_in"] + tokens["text_in"],
        "cached_audio_in": tokens["cached_audio_in"] + tokens["audio_in"],
    }

    assert known(price(model, cached)) <= known(price(model, tokens))


def test_a_dated_snapshot_costs_what_its_model_does() -> None:
    assert price("gpt-realtime-2.1-2026-09-01", {"audio_out": 1000}) == pytest.approx(0.064)


def test_an_unlisted_model_has_no_price() -> None:
    assert price("gpt-realtime-9", {"audio_out": 1000}) is None


def test_a_kind_without_a_price_counts_only_when_it_was_used() -> None:
    assert price("gpt-transcribe", {"text_in": 0, "transcribed_ms": 60_000}) == pytest.approx(0.0045)
    assert price("gpt-transcribe", {"text_in": 1, "transcribed_ms": 60_000}) is None
    assert price("gpt-realtime-2.1", {"pictures": 1}) is None


@pytest.mark.parametrize(
    ("model", "usd"), [("gpt-transcribe", 0.0045), ("gpt-live-transcribe", 0.017), ("whisper-1", 0.006)]
)
def test_a_transcription_is_billed_by_the_minute(model: str, usd: float) -> None:
    tokens = transcription_tokens(TranscriptionUsage(seconds=60.0))

    assert tokens == {"transcribed_ms": 60_000}
    assert price(model, tokens) == pytest.approx(usd)


def test_a_transcription_by_tokens_has_no_price() -> None:
    tokens = transcription_tokens(TranscriptionUsage(output_tokens=7, input_token_details=InputTokens(1, 20)))

    assert tokens == {"text_in": 1, "audio_in": 20, "text_out": 7}
    assert price("gpt-4o-transcribe", tokens) is None


def test_a_file_changes_and_adds_prices(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("as_of: 2027-02-01\nmodels:\n  ours: {audio_out: 1}\n  gpt-realtime-2.1: {audio_out: 10}\n")

    table = use_prices(file)

    assert table.as_of == date(2027, 2, 1)
    assert price("ours", {"audio_out": 1_000_000}) == pytest.approx(1)
    assert price("gpt-realtime-2.1", {"audio_out": 1_000_000}) == pytest.approx(10)
    assert price("gpt-realtime-2.1", {"text_out": 1}) is None
    assert price("gpt-realtime-2.1-mini", {"audio_out": 1_000_000}) == pytest.approx(20)


def test_without_a_file_the_published_prices_hold_again(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("as_of: 2027-02-01\nmodels: {gpt-realtime-2.1: {audio_out: 10}}\n")
    use_prices(file)

    assert use_prices(None) == PUBLISHED
    assert price("gpt-realtime-2.1", {"audio_out": 1_000_000}) == pytest.approx(64)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("models: {}", "as_of"),
        ("as_of: 2027-02-01\nmodels: {m: {audio_uot: 1}}", r"models\.m\.audio_uot"),
        ("as_of: 2027-02-01\nmodels: {m: {audio_out: -1}}", r"models\.m\.audio_out"),
        ("as_of: 2027-02-01\nmodels: {m: {audio_out: .nan}}", r"models\.m\.audio_out"),
        ("as_of: 2027-02-01\nmodels: {m: {audio_out: .inf}}", r"models\.m\.audio_out"),
        ("as_of: soon\nmodels: {}", "as_of"),
        ("- 1", "the file"),
        ("a: [", "no YAML"),
        ("\x00", "no YAML"),
    ],
)
def test_a_broken_file_is_the_operators_and_changes_nothing(
    tmp_path: Path, text: str, explanation: str
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)

    with pytest.raises(PriceFileError, match=explanation) as refusal:
        use_prices(file)

    assert refusal.value.fault is Fault.OPERATOR
    assert refusal.value.path == file
    assert price("gpt-realtime-2.1", {"audio_out": 1_000_000}) == pytest.approx(64)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "prices.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(PriceFileError, match=str(file)):
        read_prices(file)


def test_the_published_prices_are_dated_and_none_is_empty() -> None:
    assert date(2026, 11, 1) <= PUBLISHED.as_of <= date.today()  # noqa: DTZ011
    assert ModelPrices() not in PUBLISHED.models.values()
