"""A session's configuration has the API's bounds and defaults, and an update changes what it brings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from callpipe.transports.audio.formats import PCM_24K, PCMA_8K, PCMU_8K, AudioFormat
from callpipe.transports.realtime.emulator.configuration import Configuration, SemanticVad, audio_format, merged


def configuration(given: dict[str, Any]) -> Configuration:
    return Configuration.model_validate({"type": "realtime", **given})


def server_vad(**given: object) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": {"type": "server_vad", **given}}}}


def retention(ratio: float, limit: int = 0) -> dict[str, Any]:
    limits = {"post_instructions": limit}
    return {"truncation": {"type": "retention_ratio", "retention_ratio": ratio, "token_limits": limits}}


def tool(name: str) -> dict[str, Any]:
    return {"tools": [{"type": "function", "name": name}]}


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (server_vad(threshold=0.0), server_vad(threshold=-0.01)),
        (server_vad(threshold=1.0), server_vad(threshold=1.01)),
        (server_vad(prefix_padding_ms=0), server_vad(prefix_padding_ms=-1)),
        (server_vad(silence_duration_ms=0), server_vad(silence_duration_ms=-1)),
        (server_vad(idle_timeout_ms=5_000), server_vad(idle_timeout_ms=4_999)),
        (server_vad(idle_timeout_ms=30_000), server_vad(idle_timeout_ms=30_001)),
        ({"audio": {"output": {"speed": 0.25}}}, {"audio": {"output": {"speed": 0.24}}}),
        ({"audio": {"output": {"speed": 1.5}}}, {"audio": {"output": {"speed": 1.51}}}),
        ({"max_output_tokens": 1}, {"max_output_tokens": 0}),
        ({"max_output_tokens": 4_096}, {"max_output_tokens": 4_097}),
        (retention(0.0), retention(-0.01)),
        (retention(1.0), retention(1.01)),
        (retention(0.5, 0), retention(0.5, -1)),
        (tool("a" * 64), tool("a" * 65)),
        (tool("book_table-2"), tool("book table")),
        ({"output_modalities": ["text"]}, {"output_modalities": ["text", "audio"]}),
        ({"instructions": "Be brief."}, {"instruction": "Be brief."}),
        ({"parallel_tool_calls": True}, {"parallel_tool_calls": 1}),
    ],
)
def test_the_apis_bounds_are_held(allowed: dict[str, Any], refused: dict[str, Any]) -> None:
    configuration(allowed)
    with pytest.raises(ValidationError):
        configuration(refused)


def test_the_defaults_are_the_apis() -> None:
    told = configuration({}).model_dump(mode="json")
    assert told["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }
    assert told["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "voice": "alloy",
        "speed": 1.0,
    }


@pytest.mark.parametrize(
    ("eagerness", "silence_ms"), [("low", 1_500), ("medium", 700), ("auto", 700), ("high", 300)]
)
def test_eager_semantic_detection_waits_for_less_silence(eagerness: str, silence_ms: int) -> None:
    detection = SemanticVad.model_validate({"eagerness": eagerness})
    assert detection.silence_duration_ms == silence_ms
    assert detection.prefix_padding_ms == 300
    assert detection.create_response
    assert detection.interrupt_response


@pytest.mark.parametrize(
    ("named", "meant"), [("audio/pcm", PCM_24K), ("audio/pcmu", PCMU_8K), ("audio/pcma", PCMA_8K)]
)
def test_formats_are_named_as_the_api_names_them(named: str, meant: AudioFormat) -> None:
    given = configuration({"audio": {"output": {"format": {"type": named}}}})
    assert audio_format(given.audio.output.format) == meant


def test_an_update_changes_what_it_brings_and_nothing_else() -> None:
    current = configuration({"instructions": "Be brief.", **server_vad(threshold=0.7, silence_duration_ms=200)})
    after = merged(current, configuration(server_vad(threshold=0.9)))
    assert after == configuration(
        {"instructions": "Be brief.", **server_vad(threshold=0.9, silence_duration_ms=200)}
    )


def test_an_object_of_another_kind_replaces_what_was_there() -> None:
    semantic = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    after = merged(configuration(server_vad(threshold=0.7)), configuration(semantic))
    assert after.audio.input.turn_detection == SemanticVad()


def test_a_transcription_tells_only_what_is_set() -> None:
    given = configuration({"audio": {"input": {"transcription": {"model": "ear", "language": None}}}})
    assert given.model_dump(mode="json")["audio"]["input"]["transcription"] == {"model": "ear"}
