"""What the README shows works: its bots load and fit, its table names every setting, its commands exist."""

import re
from pathlib import Path

import pytest

from callpipe.pipelines.bot import load_bot
from callpipe.pipelines.call import rehearsal_call
from callpipe.pipelines.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_a_bot_in_ten_lines_and_one_in_thirty() -> None:
    lengths = [sum(bool(line.strip()) for line in snippet.splitlines()) for snippet in SNIPPETS]
    assert len(lengths) == 2
    assert lengths[0] <= 10
    assert lengths[1] <= 30


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_bot_of_the_readme_fits(number: int, tmp_path: Path) -> None:
    path = tmp_path / "concierge.py"
    path.write_text(SNIPPETS[number])
    bot = load_bot(path)
    pipeline = bot.build(rehearsal_call(bot.name, Settings(OPENAI_API_KEY="key")))  # pyright: ignore[reportCallIssue]
    assert pipeline.joints[-1].processor == "BandwidthOutput"


def test_the_configuration_table_names_every_setting() -> None:
    aliases = [str(field.validation_alias.choices[0]) for field in Settings.model_fields.values()]  # pyright: ignore
    assert len(aliases) == 24
    assert [name for name in aliases if f"`{name}`" not in README] == []


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))
    assert named >= {"demo", "test", "check"}
    assert named <= targets
