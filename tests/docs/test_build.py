"""The documentation builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_it_builds_without_a_warning_and_without_network(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs the dependencies of `make docs`")
    command = (sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path))
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert built.returncode == 0, built.stderr
    loaded = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)=["']https?://[^"']+""")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    assert [found for page in pages for found in loaded.findall(page.read_text())] == []
