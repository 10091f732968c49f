"""Items take tokens by their length, and a brain reads of the model's own speech what was spoken."""

import pytest

from callpipe.transports.realtime.emulator.items import (
    CallerSpeech,
    FunctionCall,
    FunctionCallOutput,
    Image,
    Message,
    ModelSpeech,
    Text,
)
from callpipe.transports.realtime.emulator.usage import Tokens


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (CallerSpeech(10_000.0), Tokens(audio=100)),
        (CallerSpeech(10_001.0), Tokens(audio=101)),
        (ModelSpeech("12345", 10_000.0, 10_000.0, "12345"), Tokens(text=2, audio=200)),
        (ModelSpeech("12345", 10_000.0, 5_000.0, None), Tokens(audio=100)),
        (Text("input_text", "1234"), Tokens(text=1)),
        (Image("https://a.example/i.png"), Tokens()),
    ],
)
def test_content_takes_tokens_by_its_length(
    content: CallerSpeech | ModelSpeech | Text | Image, tokens: Tokens
) -> None:
    assert content.tokens == tokens
    assert Message("i", "user", [content, content]).tokens == tokens + tokens


def test_tool_calls_and_their_outputs_take_tokens_of_text() -> None:
    assert FunctionCall("i", "c", "book", '{"at":7}').tokens == Tokens(text=3)
    assert FunctionCallOutput("i", "c", "12345").tokens == Tokens(text=2)


@pytest.mark.parametrize(
    ("audio_ms", "whole_ms", "understood"),
    [(0.0, 1_000.0, ""), (500.0, 1_000.0, "abcde"), (2_000.0, 1_000.0, "abcdefghij"), (0.0, 0.0, "abcdefghij")],
)
def test_a_brain_reads_what_was_spoken(audio_ms: float, whole_ms: float, understood: str) -> None:
    speech = ModelSpeech("abcdefghij", whole_ms, audio_ms)
    assert speech.understood == understood
    assert speech.length_ms == audio_ms


def test_a_brain_reads_nothing_of_images_and_silence() -> None:
    one, two = Text("input_text", "one"), Text("input_text", "two")
    message = Message("i", "user", [one, Image("https://a.example/i.png"), CallerSpeech(1.0), two])
    assert message.understood == "one two"
