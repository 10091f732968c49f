"""Draws a pipeline as SVG: its processors, and the format of each track at every joint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from callpipe.transports.audio.formats import AudioFormat

from .pipeline import Joint

_WIDTH = 640
_CENTRE = _WIDTH // 2
_BOX_WIDTH, _BOX_HEIGHT = 220, 38
_GAP = 40
"""Between two boxes, where the formats stand."""
_LANE = 34
"""From the middle to the line of a track."""
_HEAD = 92
_NOTE_HEIGHT = 18

_STYLE = """
  text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933 }
  .title { font-size: 20px; font-weight: 600 }
  .processor { font-weight: 600; text-anchor: middle }
  .caller { fill: #0b6fa4 } .bot { fill: #1d7a46 }
  .note { fill: #a04a00; font-size: 13px; text-anchor: middle }
  .format { font-size: 13px } .left { text-anchor: end }
  rect.box { fill: #f4f6f8; stroke: #52606d; stroke-width: 1.2 }
  line.caller { stroke: #0b6fa4 } line.bot { stroke: #1d7a46 } line { stroke-width: 2 }
  line.none { stroke: #c3cad1; stroke-dasharray: 3 4; stroke-width: 1.5 }
"""

_ARROW = '<marker id="{0}" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto"><path d="M0 1 7 4 0 7z" class="{0}"/></marker>'  # noqa: E501  a line of SVG


def draw(name: str, joints: Sequence[Joint]) -> str:
    """Return a pipeline as an SVG document, without anything from elsewhere.

    Audio flows downwards: the caller's on the left, the bot's on the right, each line with the format that the
    upper processor hands to the lower one.

    Args:
        name: The bot's name.
        joints: `Pipeline.joints`.
    """
    drawn: list[str] = []
    y = _HEAD
    for number, joint in enumerate(joints):
        drawn += _box(joint, y)
        y += _BOX_HEIGHT + (_NOTE_HEIGHT if joint.note else 0)
        if number < len(joints) - 1:
            drawn += _joint(joint, y)
            y += _GAP
    height = y + 24
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
            f' height="{height}" role="img" aria-label="Pipeline of {escape(name, {chr(34): "&quot;"})}">',
            f"<style>{_STYLE}</style>",
            f"<defs>{_ARROW.format('caller')}{_ARROW.format('bot')}</defs>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{_CENTRE}" y="36" class="title" text-anchor="middle">{escape(name)}</text>',
            _text(_CENTRE - _LANE - 10, 68, "format left caller", "the caller's audio"),
            _text(_CENTRE + _LANE + 10, 68, "format bot", "the bot's audio"),
            *drawn,
            "</svg>\n",
        )
    )


def _box(joint: Joint, y: int) -> Iterator[str]:
    width = max(_BOX_WIDTH, 10 * len(joint.processor) + 24)
    yield (
        f'<rect class="box" x="{_CENTRE - width // 2}" y="{y}" width="{width}" height="{_BOX_HEIGHT}" rx="7"/>'
    )
    yield _text(_CENTRE, y + 24, "processor", joint.processor)
    if joint.note:
        yield _text(_CENTRE, y + _BOX_HEIGHT + 15, "note", joint.note)


def _joint(joint: Joint, y: int) -> Iterator[str]:
    tracks = joint.tracks
    yield _line("caller", _CENTRE - _LANE, y, tracks.caller)
    yield _line("bot", _CENTRE + _LANE, y, tracks.bot)
    if tracks.caller is not None:
        yield _text(_CENTRE - _LANE - 10, y + 24, "format left caller", _words(tracks.caller))
    if tracks.bot is not None:
        yield _text(_CENTRE + _LANE + 10, y + 24, "format bot", _words(tracks.bot))


def _line(track: str, x: int, y: int, audio_format: AudioFormat | None) -> str:
    ends = f'x1="{x}" y1="{y + 2}" x2="{x}" y2="{y + _GAP - 3}"'
    if audio_format is None:
        return f'<line class="none" {ends}/>'
    return f'<line class="{track}" {ends} marker-end="url(#{track})"/>'


def _words(audio_format: AudioFormat) -> str:
    channels = "mono" if audio_format.channels == 1 else f"{audio_format.channels} channels"
    return f"{audio_format.encoding.value} {audio_format.sample_rate / 1000:g} kHz, {channels}"


def _text(x: int, y: int, kinds: str, words: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kinds}">{escape(words)}</text>'
