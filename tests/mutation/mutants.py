"""The small mistakes that can be made in a module, and a sample of them. cosmic-ray makes them."""

import ast
import importlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from spared import Position, is_spared, spared_spans

COMPARED = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")

CALCULATED = (
    ("Add", "Sub"),
    ("Sub", "Add"),
    ("Mul", "Div"),
    ("Div", "Mul"),
    ("FloorDiv", "Mul"),
    ("Mod", "Mul"),
    ("Pow", "Mul"),
    ("BitAnd", "BitOr"),
    ("BitOr", "BitAnd"),
    ("BitXor", "BitOr"),
    ("LShift", "RShift"),
    ("RShift", "LShift"),
)

OPERATORS = (
    *(f"ReplaceComparisonOperator_{a}_{b}" for a in COMPARED for b in COMPARED if a != b),
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in CALCULATED),
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Invert",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)
"""cosmic-ray's, without those whose mistakes any run of the line would show, such as ``+`` made ``<<``."""

LARGE = 20
"""Of such a number nobody would miss one: a millisecond of a second, a byte of a buffer."""

CALCULATIONS = frozenset({"arith_expr", "term", "expr", "xor_expr", "and_expr", "shift_expr", "power"})
"""What an operator stands in that calculates; other stars and slashes mark parameters and arguments."""


@dataclass(frozen=True)
class Mistake:
    """One change of a module.

    Attributes:
        operator: The name of the operator that makes it.
        occurrence: The how manieth place of the module it is made at, of those that this operator can change.
    """

    operator: str
    occurrence: int


@dataclass(frozen=True)
class Site:
    """A place in a module where mistakes can be made; one of them is drawn.

    Attributes:
        module: The module's file, from the root of the tree.
        position: Where in it: a line, from 1, and a column, from 0.
        mistakes: Which.
    """

    module: Path
    position: Position
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake.

    Attributes:
        module: The module's file, from the root of the tree.
        line: Where the mistake is, from 1.
        source: The module's text with the mistake.
        diff: What is different, line by line.
    """

    module: Path
    line: int
    source: str
    diff: str


def sites(root: Path, module: Path) -> list[Site]:
    """Return where mistakes can be made in a module, in the order of its text."""
    source = (root / module).read_text()
    spans = spared_spans(source)
    found: defaultdict[tuple[Position, str], list[Mistake]] = defaultdict(list)
    for position, mistake in _mistakes(source):
        if not is_spared(position, spans):
            family = mistake.operator.partition("_")[0]
            found[position, family].append(mistake)
    return [Site(module, where, tuple(mistakes)) for (where, _), mistakes in sorted(found.items())]


def draw(places: Sequence[Site], count: int, seed: int) -> list[tuple[Site, Mistake]]:
    """Draw some places, and one mistake for each, the same for the same seed."""
    chance = random.Random(seed)
    drawn = chance.sample(places, min(count, len(places)))
    return [(site, chance.choice(site.mistakes)) for site in drawn]


def mutant(root: Path, site: Site, mistake: Mistake) -> Mutant:
    """Make a mistake."""
    source = (root / site.module).read_text()
    mutating: Any = importlib.import_module("cosmic_ray.mutating")
    changed: str = mutating.mutate_code(source, _operator(mistake.operator), mistake.occurrence)
    diff = unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=0)
    told = "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))
    return Mutant(site.module, site.position[0], changed, told)


class NumberChanger:
    """Makes a number one more or one less, a large one twice or half as much; instead of cosmic-ray's."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        """Yield where a node of the text can be changed, once for each way."""
        if node.type == "number":
            yield from [(node.start_pos, node.end_pos)] * 2

    def mutate(self, node: Any, index: int) -> Any:
        """Return the node changed: `index` 0 makes it more, 1 less."""
        number = ast.literal_eval(node.value)
        more, less = number + 1, number - 1
        if abs(number) >= LARGE:
            more, less = number * 2, number // 2 if isinstance(number, int) else number / 2
        return type(node)(f" {(more, less)[index]}", node.start_pos)


def _operator(name: str) -> Any:
    if name == "NumberReplacer":
        return NumberChanger()
    plugins: Any = importlib.import_module("cosmic_ray.plugins")  # only installed by `make mutation`
    return plugins.get_operator(f"core/{name}")()


def _mistakes(source: str) -> Iterator[tuple[Position, Mistake]]:
    """Yield every change of a text with its place, counted as cosmic-ray counts when it makes one."""
    trees: Any = importlib.import_module("cosmic_ray.ast")
    operators = [(name, _operator(name)) for name in OPERATORS]
    seen: defaultdict[str, int] = defaultdict(int)
    for node in trees.ast_nodes(trees.get_ast(source)):
        for name, operator in operators:
            for start, _ in operator.mutation_positions(node):
                if _can_be_made(name, node, start):
                    yield start, Mistake(name, seen[name])
                seen[name] += 1


def _can_be_made(operator: str, node: Any, start: Position) -> bool:
    if operator == "ExceptionReplacer":
        return "." not in node.get_code()  # cosmic-ray knows plain names only
    if operator.startswith("ReplaceComparison"):
        compared_with = node.get_leaf_for_position(start).get_next_sibling()
        if compared_with.type in ("string", "fstring"):
            return operator.endswith(("_Eq", "_NotEq"))  # nobody asks by mistake which text comes first
    return not operator.startswith("ReplaceBinary") or node.parent.type in CALCULATIONS
