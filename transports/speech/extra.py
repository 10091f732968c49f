"""Modules of the extra `offline`, imported when they are first needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import Fault, TransportsError

__all__ = ["MissingExtraError", "import_extra"]


class MissingExtraError(TransportsError):
    """A module of the extra `offline` is not installed.

    Attributes:
        module: The module's name.
    """

    fault = Fault.OPERATOR

    def __init__(self, module: str) -> None:
        super().__init__(f"the module {module} is missing; install it by: pip install 'callpipe[offline]'")
        self.module = module


def import_extra(name: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        MissingExtraError: It, or a module that it needs, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or name) from error
