"""The names on disk, in the editable install and in the wheel stay together."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["bots", "pipelines", "processors", "transports"]


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_room_is_linked_for_the_editable_install() -> None:
    links = {link.name: link.readlink() for link in (ROOT / ".dev" / "callpipe").iterdir()}
    assert links == {room: Path("../..") / room for room in ROOMS}


def test_every_room_is_in_the_wheel_under_the_prefix(project: dict[str, Any]) -> None:
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["only-include"]) == ROOMS
    assert wheel["sources"] == {room: f"callpipe/{room}" for room in ROOMS}


def test_callpipe_is_a_namespace_without_an_init() -> None:
    assert not (ROOT / ".dev" / "callpipe" / "__init__.py").exists()


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_typed(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()


def test_the_lock_names_no_registry() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()
