"""Every snippet of the documentation and the README works: bots load and fit, their tests pass, commands exist.

A snippet whose first line is a comment with a file's name is written to that file, beside the page's others.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.command_line import app
from callpipe.pipelines.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w.]+\.(?:py|yaml))\b")
KINDS = {"python", "yaml", "sh", "ini"}


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        place: Its page and line.
        kind: Its language.
        text: Its content.
    """

    place: str
    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file it is, by its first line."""
        named = _FILE.match(self.text)
        return named[1] if named else None


def snippets(page: Path, kind: str | None = None) -> list[Snippet]:
    text = page.read_text()
    found: list[Snippet] = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        content = re.sub(rf"^{fence[1]}", "", fence[3], flags=re.MULTILINE)
        found.append(Snippet(f"{page.relative_to(ROOT)}:{line}", fence[2], content))
    return [each for each in found if kind in (None, each.kind)]


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(each, id=each.place) for page in PAGES for each in snippets(page, kind)]


def test_every_snippet_is_of_a_kind_that_is_tested() -> None:
    kinds = {each.kind: each.place for page in PAGES for each in snippets(page)}
    assert {kind: place for kind, place in kinds.items() if kind not in KINDS} == {}
    assert kinds.keys() >= KINDS


@pytest.mark.parametrize("snippet", of_kind("python"))
def test_python_runs_and_a_bot_fits(snippet: Snippet, tmp_path: Path) -> None:
    if "\ndef test_" in snippet.text:
        compile(snippet.text, snippet.place, "exec")  # run with its page's files below
        return
    path = tmp_path / "bot.py"
    path.write_text(snippet.text)
    bot = load_bot(path)
    if "@bot.pipeline" in snippet.text:
        pipeline = bot.build(rehearsal_call(bot.name, Settings(OPENAI_API_KEY="k")))  # pyright: ignore[reportCallIssue]
        assert "BandwidthOutput" in [joint.processor for joint in pipeline.joints]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in PAGES
        if any((each.file or "").startswith("test_") for each in snippets(page))
    ],
)
def test_a_pages_tests_pass(page: Path, tmp_path: Path) -> None:
    for each in snippets(page):
        if each.file is not None:
            (tmp_path / each.file).write_text(each.text)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", ".")
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("snippet", of_kind("sh"))
def test_commands_exist_with_their_options(snippet: Snippet) -> None:
    for line in snippet.text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "callpipe":
            check_command(typer.main.get_command(app), words[1:])


def check_command(command: Any, words: list[str]) -> None:
    """Have the command line's own parser read the words, without running anything."""
    named = getattr(command, "commands", None)
    if named is not None:
        assert words, "a command is missing"
        assert words[0] in named, words[0]
        check_command(named[words[0]], words[1:])
        return
    command.make_context("callpipe", words)


@pytest.mark.parametrize("snippet", of_kind("ini"))
def test_settings_exist(snippet: Snippet) -> None:
    known = {str(field.validation_alias.choices[0]) for field in Settings.model_fields.values()}  # pyright: ignore
    names = [line.partition("=")[0] for line in snippet.text.splitlines() if line]
    assert [name for name in names if name not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_linked_pages_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_reached_from_the_first() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [page.relative_to(ROOT / "docs").with_suffix("") for page in PAGES[1:]]
    assert [str(page) for page in pages if str(page) not in (*index.split(), "index")] == []
