"""What a response is billed for, and how much of it was read before."""

from __future__ import annotations

import pytest

from callpipe.transports.realtime.emulator.usage import (
    ContextPart,
    PromptCache,
    Tokens,
    audio_tokens,
    text_tokens,
    usage,
)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_text_takes_a_token_for_four_characters(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


@pytest.mark.parametrize(("duration_ms", "tokens"), [(0.0, 0), (0.1, 1), (50.0, 1), (50.1, 2), (150.0, 3)])
def test_audio_takes_a_token_for_each_piece_begun(duration_ms: float, tokens: int) -> None:
    assert audio_tokens(duration_ms, 50.0) == tokens


def part(name: str, text: int, audio: int = 0) -> ContextPart:
    return ContextPart((name,), Tokens(text, audio))


def test_a_beginning_that_was_read_before_is_cached() -> None:
    cache = PromptCache()
    instructions, hello, order, other = part("i", 10), part("h", 0, 5), part("o", 3), part("x", 3)

    assert cache.read([instructions, hello]) == (Tokens(10, 5), Tokens())
    assert cache.read([instructions, hello, order]) == (Tokens(13, 5), Tokens(10, 5))
    assert cache.read([instructions, other, order]) == (Tokens(16, 0), Tokens(10, 0))
    assert cache.read([other]) == (Tokens(3, 0), Tokens())


def test_a_bill_adds_up() -> None:
    bill = usage(Tokens(10, 20), Tokens(3, 4), Tokens(5, 6))

    assert (bill["total_tokens"], bill["input_tokens"], bill["output_tokens"]) == (41, 30, 11)
    read = bill["input_token_details"]
    assert isinstance(read, dict)
    assert (read["text_tokens"], read["audio_tokens"], read["image_tokens"]) == (10, 20, 0)
    assert read["cached_tokens"] == 7
    assert read["cached_tokens_details"] == {"text_tokens": 3, "audio_tokens": 4, "image_tokens": 0}
    assert bill["output_token_details"] == {"text_tokens": 5, "audio_tokens": 6}
