"""What serving does before an event loop runs: the recordings that bots play are read."""

from callpipe.pipelines.ready_made import ONE_MOMENT_PLEASE
from callpipe.processors.prerecorded import prerecorded
from callpipe.transports.audio.formats import PCM_24K, PCMU_8K

for audio_format in (PCM_24K, PCMU_8K):
    prerecorded(ONE_MOMENT_PLEASE, audio_format)
