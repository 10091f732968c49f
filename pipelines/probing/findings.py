"""What a probe of a carrier has found, in figures, and what follows for the configuration. No I/O."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

SOON_S = 2.0
"""A carrier that goes on with a call within it is one that a bot can leave the call to."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The caller's packets, as they came.

    Attributes:
        period_ms: The median time between two.
        audio_ms: The audio in one, by the median.
        jitter_ms: By how much 19 of 20 are early or late at the most.
    """

    period_ms: float
    audio_ms: float
    jitter_ms: float


@dataclass(slots=True)
class Findings:
    """What one call has shown; None where it has not.

    Attributes:
        call_id: The call.
        handshake_authorized: Whether the media socket's handshake had the credentials of its `StartStream`.
        webhooks_authorized: Whether each webhook of a kind had its credentials: ``answer``, ``redirect``,
            ``stream event``, ``disconnect``.
        frames: The inbound track.
        outbound_frames: The outbound track, where it came; what the stream plays is heard on it, or not.
        short_start_ms: From sending 20 ms of audio to hearing it on the outbound track.
        long_start_ms: The same for two seconds at once.
        held_ms: How much of five seconds, sent at once, was heard.
        clear_ms: From sending `clear` to silence on the outbound track.
        close_redirect_ms: From closing the media socket to the Redirect's webhook.
        reset_redirect_ms: From resetting its connection to the Redirect's webhook.
        reset_cause: What the stream's last event said then.
        refused_at_s: When the refused handshake was tried again, in seconds after the first attempt.
        refused_cause: What the stream's last event said of it.
        refused_redirect_ms: From the first refusal to the Redirect's webhook.
    """

    call_id: str = ""
    handshake_authorized: bool | None = None
    webhooks_authorized: dict[str, bool] = field(default_factory=dict[str, bool])
    frames: Frames | None = None
    outbound_frames: Frames | None = None
    short_start_ms: float | None = None
    long_start_ms: float | None = None
    held_ms: float | None = None
    clear_ms: float | None = None
    close_redirect_ms: float | None = None
    reset_redirect_ms: float | None = None
    reset_cause: str | None = None
    refused_at_s: list[float] = field(default_factory=list[float])
    refused_cause: str | None = None
    refused_redirect_ms: float | None = None

    @property
    def prebuffer_ms(self) -> float | None:
        """How much audio the carrier gathers before it plays: how much later little starts than much."""
        if self.short_start_ms is None or self.long_start_ms is None:
            return None
        return max(self.short_start_ms - self.long_start_ms, 0.0)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return each fact, what was measured of it, and what follows."""
        return [
            ("media frame period", _frames(self.frames), "none: any period is read"),
            ("outbound track", _frames(self.outbound_frames), self._of_outbound()),
            (
                "buffering",
                _ms(self.prebuffer_ms, "before it plays"),
                f"CALLPIPE_PREBUFFER_MS={self._prebuffer_setting()}",
            ),
            ("playout start", _ms(self.long_start_ms, "from sending to hearing, the way included"), ""),
            ("audio held", _ms(self.held_ms, "heard of 5000 ms sent at once"), self._of_held()),
            ("clear", _ms(self.clear_ms, "until silence, the way included"), ""),
            ("Redirect after close", _ms(self.close_redirect_ms), self._of_redirect(self.close_redirect_ms)),
            (
                "abnormal close",
                f"{_ms(self.reset_redirect_ms, 'to the Redirect')}; event says {self.reset_cause or 'nothing'}",
                self._of_redirect(self.reset_redirect_ms),
            ),
            ("handshake refused", self._refused(), self._of_redirect(self.refused_redirect_ms)),
            ("credentials", self._credentials(), self._of_credentials()),
        ]

    def configuration(self) -> list[str]:
        """Return the lines of `.env` that follow."""
        return [] if self.prebuffer_ms is None else [f"CALLPIPE_PREBUFFER_MS={self._prebuffer_setting()}"]

    def _prebuffer_setting(self) -> str:
        return "0" if self.prebuffer_ms is None else str(round(self.prebuffer_ms / 10) * 10)

    def _of_outbound(self) -> str:
        if self.outbound_frames is None:
            return "buffering and clear can't be measured by it"
        if self.long_start_ms is None:
            return "the stream's audio is not on it: buffering and clear can't be measured by it"
        return "it carries what the stream plays"

    def _of_held(self) -> str:
        if self.held_ms is None:
            return ""
        return "none: callpipe sends 3000 ms ahead at most" if self.held_ms > 3_200 else "send less ahead"

    def _of_redirect(self, after_ms: float | None) -> str:
        if after_ms is None:
            return "keep BANDWIDTH_CLIENT_ID and _SECRET set: such calls are gone on with through the Voice API"
        return "none" if after_ms < SOON_S * 1000 else "late: the Voice API is asked before it comes"

    def _refused(self) -> str:
        again = ", ".join(f"{at:.1f} s" for at in self.refused_at_s) or "never"
        then = _ms(self.refused_redirect_ms, "to the Redirect")
        return f"tried again: {again}; {then}; event says {self.refused_cause or 'nothing'}"

    def _credentials(self) -> str:
        told = {"handshake": self.handshake_authorized, **self.webhooks_authorized}
        return ", ".join(f"{name}: {_yes(there)}" for name, there in told.items())

    def _of_credentials(self) -> str:
        told = {"handshake": self.handshake_authorized, **self.webhooks_authorized}
        missing = [name for name, there in told.items() if there is False]
        return f"callpipe refuses what comes without: {', '.join(missing)}" if missing else "none"


def frames(arrivals: Sequence[tuple[float, int]]) -> Frames | None:
    """Return what packets of PCMU show, each a time in s and a size; None for fewer than ten."""
    if len(arrivals) < 10:
        return None
    gaps_ms = [(later - earlier) * 1000 for (earlier, _), (later, _) in itertools.pairwise(arrivals)]
    period_ms = statistics.median(gaps_ms)
    off = sorted(abs(gap_ms - period_ms) for gap_ms in gaps_ms)
    audio_ms = statistics.median(size for _, size in arrivals) / 8
    return Frames(period_ms, audio_ms, off[int(0.95 * (len(off) - 1))])


def _frames(found: Frames | None) -> str:
    if found is None:
        return "did not come"
    return (
        f"{found.audio_ms:.0f} ms of audio every {found.period_ms:.1f} ms, 95 % within {found.jitter_ms:.1f} ms"
    )


def _ms(figure: float | None, what: str = "") -> str:
    return "not seen" if figure is None else f"{figure:.0f} ms {what}".rstrip()


def _yes(there: bool | None) -> str:
    return {True: "yes", False: "no", None: "not seen"}[there]
