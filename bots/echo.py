"""No model: callers hear themselves, to test a line."""

from pipecat.frames.frames import Frame

from callpipe.pipelines import Bot, Call, Pipeline, recorder
from callpipe.transports.audio.formats import Tracks
from callpipe.transports.frames import InputEncodedAudioFrame, OutputEncodedAudioFrame
from callpipe.transports.lane import MediaProcessor

bot = Bot("echo")


class Echo(MediaProcessor):
    """Turns the caller's audio into the bot's."""

    def formats(self, tracks: Tracks) -> Tracks:
        """The bot's track has the caller's format, and the caller's ends here."""
        return Tracks(bot=tracks.caller)

    def process_audio(self, frame: Frame) -> Frame | None:
        """Send a packet back as it came; what is not the caller's passes, the recorder's line among it."""
        return OutputEncodedAudioFrame(frame.encoded) if isinstance(frame, InputEncodedAudioFrame) else frame


@bot.pipeline
def answer(call: Call) -> Pipeline:
    """Return the call's pipeline: the transport's input, the echo, the transport's output."""
    return Pipeline([call.transport.input(), Echo(), *recorder(call), call.transport.output()])
