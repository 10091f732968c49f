"""How `make docs` builds: from Markdown and docstrings, with nothing loaded from elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

os.environ.setdefault("LOGURU_AUTOINIT", "0")

project = "callpipe"
copyright = "the authors of callpipe"  # noqa: A001  Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["reference/commands.in.md"]
html_theme = "furo"
html_title = "callpipe"
html_show_sphinx = False
html_copy_source = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
default_role = "code"
_NAME = re.compile(r"(?<!`)`([^`]+)`(?!`)(\w*)")
napoleon_use_ivar = True
napoleon_numpy_docstring = False
nitpicky = False


def write_commands(app: Sphinx) -> None:
    """Write the page of all commands, as the commands describe themselves."""
    from callpipe.pipelines.command_line import app as commands  # noqa: PLC0415  loguru is to be silent first

    page = ["# Commands", "", "Each takes `--help`.", ""]
    page += _section(typer.main.get_command(commands), "callpipe")
    target = Path(app.srcdir) / "reference" / "commands.md"
    text = "\n".join(page)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


def _section(command: Any, name: str) -> list[str]:
    lines: list[str] = []
    commands = getattr(command, "commands", None)
    if commands is None:
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        usage = " ".join([name, *(argument.metavar or str(argument.name).upper() for argument in arguments)])
        lines += ["", f"## `{usage}`", "", (command.help or "").strip(), ""]
        for param in command.params:
            if param.param_type_name == "option" and not getattr(param, "hidden", False):
                names = ", ".join(f"`{name}`" for name in param.opts)
                lines.append(f"- {names}: {getattr(param, 'help', '') or ''}{_default(param.default)}")
    for each in (commands or {}).values():
        lines += _section(each, f"{name} {each.name}")
    return lines


def _default(default: object) -> str:
    told = default not in (None, False, "", []) and not callable(default)
    return f" Default: `{getattr(default, 'value', default)}`." if told else ""


def write_names_as_code(*told: Any) -> None:
    """Make `names` in a docstring code, also where a plural's s follows."""
    lines: list[str] = told[-1]
    lines[:] = [_NAME.sub(r"``\1``\\ \2", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Have the page of commands written before the sources are read, and docstrings read as they are meant."""
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-process-docstring", write_names_as_code, priority=400)
