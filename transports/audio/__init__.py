"""Audio without I/O: formats, G.711, resampling, the playhead, both tracks of the line."""

from .errors import BrokenSampleError, UnsupportedSampleRateError
from .formats import PCM_8K, PCM_16K, PCM_24K, PCMU_8K, AudioFormat, Encoding, Tracks
from .g711 import MULAW_SILENCE, decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from .line_tracks import LineAudio, LineTracks, SentAudio
from .playhead import CarrierClock, Playhead, Span
from .resampler import StreamResampler

__all__ = [
    "MULAW_SILENCE",
    "PCMU_8K",
    "PCM_8K",
    "PCM_16K",
    "PCM_24K",
    "AudioFormat",
    "BrokenSampleError",
    "CarrierClock",
    "Encoding",
    "LineAudio",
    "LineTracks",
    "Playhead",
    "SentAudio",
    "Span",
    "StreamResampler",
    "Tracks",
    "UnsupportedSampleRateError",
    "decode_alaw",
    "decode_mulaw",
    "encode_alaw",
    "encode_mulaw",
]
