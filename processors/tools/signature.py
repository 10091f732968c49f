"""What the model has to know of a function, and how its arguments become the function's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

from docstring_parser import Docstring, DocstringStyle, ParseError
from docstring_parser import parse as parse_docstring
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from .context import ToolContext
from .errors import ToolArgumentsError, ToolDefinitionError
from .schema import RecursiveSchemaError, simplified

MAX_PROBLEMS = 5
"""Problems of the arguments that are told at once."""

MAX_PLACE_LENGTH = 80
"""Characters of a problem's place, which the model may have made up."""


class _QuietSchema(GenerateJsonSchema):
    """A default that is not JSON is left out of the schema without a warning."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  as pydantic has it


class Signature:
    """A function's description and parameters, read from its docstring and type hints.

    Attributes:
        description: What the docstring says before its sections.
        parameters: JSON schema of the arguments, an object.

    Raises:
        ToolDefinitionError: The function can't be a tool as it is written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        signature = self._evaluated()
        docstring = self._docstring()
        self.description = (docstring.description or "").strip()
        if not self.description:
            raise self._refusal("it has no docstring; say in one what it does and when the model calls it")
        described = {one.arg_name: " ".join((one.description or "").split()) for one in docstring.params}
        for name in described.keys() - signature.parameters.keys():
            raise self._refusal(f"its docstring describes {name}, which is no parameter; rename one of them")
        self._context_names: list[str] = []
        fields: dict[str, tuple[Any, FieldInfo]] = {}
        self._names: dict[str, str] = {}
        for name, parameter in signature.parameters.items():
            self._check(parameter)
            if parameter.annotation is ToolContext:
                self._context_names.append(name)
                continue
            # The model's fields have names of their own, for a parameter may be called `copy` or `_day`.
            self._names[f"parameter_{len(fields)}"] = name
            fields[f"parameter_{len(fields)}"] = (parameter.annotation, _field(parameter, described.get(name)))
        self._model, self.parameters = self._modelled(fields)

    def read(self, arguments: str, context: ToolContext) -> dict[str, Any]:
        """Return the function's keyword arguments.

        Arguments the model left out are left out here too, so the function's own defaults hold.

        Args:
            arguments: A JSON object as text; blank text stands for no arguments.
            context: What parameters annotated `ToolContext` get.

        Raises:
            ToolArgumentsError: The arguments are no JSON object, or don't fit the parameters.
        """
        try:
            model = self._model.model_validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            raise ToolArgumentsError(self._explanation(error)) from None
        given = {self._names[field]: getattr(model, field) for field in model.model_fields_set}
        return given | dict.fromkeys(self._context_names, context)

    def _evaluated(self) -> inspect.Signature:
        """Return the function's signature, annotations evaluated."""
        if not isinstance(inspect.unwrap(self._function), (FunctionType, MethodType)):
            raise self._refusal("it is not a function; write one with def or async def")
        if inspect.isgeneratorfunction(self._function) or inspect.isasyncgenfunction(self._function):
            raise self._refusal("it yields; return one result, for instance a list")
        try:
            return inspect.signature(self._function, eval_str=True)
        except Exception as failure:  # an annotation is code and may raise anything
            raise self._refusal(
                f"its annotations can't be read ({failure}); import their types at the top of the module,"
                " not under TYPE_CHECKING or inside a function"
            ) from failure

    def _docstring(self) -> Docstring:
        try:
            return parse_docstring(inspect.getdoc(self._function) or "", DocstringStyle.GOOGLE)
        except ParseError as failure:
            raise self._refusal(
                f"its docstring can't be read ({failure}); write it in Google's style"
            ) from failure

    def _check(self, parameter: inspect.Parameter) -> None:
        """Refuse a parameter the model could not fill."""
        name = parameter.name
        match parameter.kind:
            case inspect.Parameter.VAR_POSITIONAL | inspect.Parameter.VAR_KEYWORD:
                raise self._refusal(f"it takes *{name}; name and annotate each parameter")
            case inspect.Parameter.POSITIONAL_ONLY:
                raise self._refusal(f"parameter {name} is positional-only; remove the / behind it")
            case _:
                pass
        if parameter.annotation is inspect.Parameter.empty:
            raise self._refusal(f"parameter {name} has no type; annotate it, for instance {name}: str")
        if isinstance(parameter.default, FieldInfo):
            raise self._refusal(
                f"parameter {name} has a Field as its default; write {name}: Annotated[..., Field(...)]"
            )

    def _modelled(self, fields: Mapping[str, tuple[Any, FieldInfo]]) -> tuple[type[BaseModel], dict[str, Any]]:
        """Return the pydantic model of the arguments and its JSON schema."""
        config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
        definitions: dict[str, Any] = dict(fields)
        try:
            model = create_model("arguments", __config__=config, **definitions)
            schema = simplified(model.model_json_schema(schema_generator=_QuietSchema))
        except RecursiveSchemaError as failure:
            raise self._refusal(f"type {failure} refers to itself; give the model a flat one") from failure
        except (PydanticUserError, NameError, TypeError) as failure:
            reason = str(failure).partition("\n")[0].rstrip(".")
            raise self._refusal(
                f"the model can't be told one of its types ({reason}); use JSON's types, enums, dates,"
                " dataclasses or pydantic models"
            ) from failure
        return model, {"properties": {}, "required": [], **schema}

    def _refusal(self, problem: str) -> ToolDefinitionError:
        return ToolDefinitionError(name_of(self._function), place_of(self._function), problem)

    def _explanation(self, error: ValidationError) -> str:
        """Say to the model what is wrong with its arguments."""
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        sentences = [
            self._sentence(one["type"], one["loc"], one["msg"].rstrip(".")) for one in problems[:MAX_PROBLEMS]
        ]
        if len(problems) > MAX_PROBLEMS:
            sentences.append(f"{len(problems) - MAX_PROBLEMS} more are wrong.")
        return " ".join(["Nothing was done.", *sentences, "Correct the arguments and call again."])

    def _sentence(self, kind: str, place: tuple[int | str, ...], message: str) -> str:
        if not place:
            reason = "" if kind == "model_type" else f" ({message})"
            return f"The arguments are not one JSON object{reason}."
        name = ".".join(str(part) for part in place)[:MAX_PLACE_LENGTH]
        if kind == "missing":
            return f"`{name}` is missing."
        if kind == "extra_forbidden" and len(place) == 1:
            known = ", ".join(f"`{one}`" for one in self._names.values()) or "none"
            return f"`{name}` is not a parameter; the parameters are: {known}."
        return f"`{name}`: {message}."


def _field(parameter: inspect.Parameter, description: str | None) -> FieldInfo:
    """Return the pydantic field of a parameter."""
    details: dict[str, Any] = {"alias": parameter.name}
    if parameter.default is not inspect.Parameter.empty:
        details["default"] = parameter.default
    if description:
        details["description"] = description
    return Field(**details)


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name, or its type's when it has none."""
    return getattr(function, "__name__", type(function).__name__)


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is written, ``file:line``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "unknown place"
