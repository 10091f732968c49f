"""What every measured system is told when it starts, and what it can be asked while it runs."""

import argparse
import importlib
import sys
import threading
from typing import Any


def arguments() -> argparse.Namespace:
    """Return the system's arguments: `port`, `model` (a URL below which `/realtime` is), `variant`.

    The measuring process may ask for a count of allocations: a line on standard input names the file to count
    into, an empty line ends it.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--variant", default="")
    threading.Thread(target=_count_allocations, daemon=True).start()
    return parser.parse_args()


def _count_allocations() -> None:
    for line in sys.stdin:
        memray: Any = importlib.import_module("memray")  # untyped, and only installed by `make bench`
        with memray.Tracker(line.strip(), trace_python_allocators=True):
            sys.stdin.readline()
        print("counted", flush=True)
