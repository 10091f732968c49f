"""When a recording of the caller is complete."""

from __future__ import annotations

import pytest

from callpipe.transports.bandwidth.emulator.caller import SILENT_PACKET
from callpipe.transports.bandwidth.emulator.voicemail import Voicemail

WORD = b"\x12" * 160


def packets_until_complete(voicemail: Voicemail, said: list[bytes | None]) -> int | None:
    for number, packet in enumerate(said, 1):
        voicemail.take("inbound", packet)
        if voicemail.complete.is_set():
            return number
    return None


@pytest.mark.parametrize(
    ("max_s", "silence_s", "complete_after"),
    [(0.2, 0.0, 10), (10.0, 0.0, None), (10.0, 0.06, 8), (10.0, 0.5, 30), (0.1, 0.06, 5)],
)
def test_a_recording_ends_at_its_length_or_after_a_silence(
    max_s: float, silence_s: float, complete_after: int | None
) -> None:
    voicemail = Voicemail(max_s=max_s, silence_s=silence_s)
    said = [SILENT_PACKET, SILENT_PACKET, WORD, None, WORD, *[SILENT_PACKET] * 25]

    assert packets_until_complete(voicemail, said) == complete_after


def test_only_the_caller_is_recorded_and_what_the_line_lost_is_silence() -> None:
    voicemail = Voicemail(max_s=0.06, silence_s=0.0)
    voicemail.take("outbound", WORD)
    for packet in (WORD, None, WORD, WORD):
        voicemail.take("inbound", packet)

    assert bytes(voicemail.pcmu) == WORD + SILENT_PACKET + WORD
