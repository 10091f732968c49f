"""What is never mutated, because no test should hold it: what types say, what is only read by people."""

import ast
from collections.abc import Iterator
from typing import Any

TYPE_ONLY_DECORATORS = frozenset({"abstractmethod", "final", "overload", "override", "runtime_checkable"})
TYPE_ONLY_FLAGS = frozenset({"frozen", "slots", "kw_only", "gc", "repr"})
"""Arguments of a class or a field that pyright holds, or that cost memory only."""

Position = tuple[int, int]
Span = tuple[Position, Position]


def spared_spans(source: str) -> list[Span]:
    """Return what is not mutated of a module, as positions from and until: lines from 1, columns from 0."""
    return [_span(each) for node in ast.walk(ast.parse(source)) for each in _spared_in(node)]


def is_spared(position: Position, spans: list[Span]) -> bool:
    """Return whether a position lies in one of the spans."""
    return any(start <= position < end for start, end in spans)


def _span(node: ast.AST) -> Span:
    place: Any = node  # whatever is spared has a place
    return (place.lineno, place.col_offset), (place.end_lineno, place.end_col_offset)


def _spared_in(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.FunctionDef(name="__repr__" | "__str__") | ast.Assert():
            yield node
        case ast.FunctionDef(returns=annotation) | ast.AsyncFunctionDef(returns=annotation) if annotation:
            yield annotation
        case ast.Assign(value=value) if _is_alias(value):
            yield value
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            yield node
        case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.Raise():
            yield from (each for each in ast.walk(node) if isinstance(each, ast.JoinedStr))
        case ast.Call():
            yield from _spared_in_call(node)
        case ast.keyword(arg=name) if name in TYPE_ONLY_FLAGS:
            yield node
        case _:
            pass
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from (each for each in node.decorator_list if ast.unparse(each) in TYPE_ONLY_DECORATORS)


def _is_alias(value: ast.expr) -> bool:
    """Whether a value is a type made of others, such as ``Audio | Clear``."""
    match value:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return all(_is_alias(side) or _names_a_type(side) for side in (left, right))
        case _:
            return False


def _names_a_type(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id.lstrip("_")[:1].isupper() and not value.id.isupper()


def _spared_in_call(call: ast.Call) -> Iterator[ast.AST]:
    match call.func:
        case ast.Attribute(value=ast.Name(id="logger")):
            yield call
        case ast.Name(id="cast"):
            yield call.args[0]
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            yield from (each for each in call.args if isinstance(each, ast.JoinedStr))
        case _:
            pass
