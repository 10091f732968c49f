"""The measurements' files are scripts beside each other; their tests find them as they find one another."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
