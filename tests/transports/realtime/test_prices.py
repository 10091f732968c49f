import pytest

from callpipe.transports.realtime.events import InputTokens, TokenCounts, TranscriptionUsage, Usage
from callpipe.transports.realtime.prices import price, response_tokens, transcription_tokens

USAGE = Usage(
    InputTokens(120, 60, 80, TokenCounts(64, 16)),
    TokenCounts(30, 80),
)


def test_no_token_is_counted_twice() -> None:
    assert response_tokens(USAGE) == {
        "text_in": 56,
        "audio_in": 44,
        "cached_text_in": 64,
        "cached_audio_in": 16,
        "text_out": 30,
        "audio_out": 80,
    }


def test_a_response_costs_what_the_model_page_says() -> None:
    cost = price("gpt-realtime-2.1", response_tokens(USAGE))

    assert cost == pytest.approx((56 * 4 + 44 * 32 + 80 * 0.40 + 30 * 24 + 80 * 64) / 1e6)


def test_a_dated_snapshot_costs_what_its_model_does() -> None:
    assert price("gpt-realtime-2.1-2026-09-01", {"audio_out": 1000}) == pytest.approx(0.064)


def test_an_unlisted_model_has_no_price() -> None:
    assert price("gpt-realtime-9", {"audio_out": 1000}) is None


def test_cached_tokens_without_details_are_text_first() -> None:
    tokens = response_tokens(Usage(InputTokens(50, 60, 80), None))

    assert (tokens["cached_text_in"], tokens["cached_audio_in"]) == (50, 30)
    assert (tokens["text_in"], tokens["audio_in"], tokens["audio_out"]) == (0, 30, 0)


def test_a_transcription_is_billed_by_the_minute() -> None:
    tokens = transcription_tokens(TranscriptionUsage(seconds=60.0))

    assert tokens == {"transcribed_ms": 60_000}
    assert price("gpt-live-transcribe", tokens) == pytest.approx(0.017)


def test_a_transcription_by_tokens_has_no_price() -> None:
    tokens = transcription_tokens(TranscriptionUsage(output_tokens=7, input_token_details=InputTokens(1, 20)))

    assert tokens == {"text_in": 1, "audio_in": 20, "text_out": 7}
    assert price("gpt-transcribe", tokens) is None
