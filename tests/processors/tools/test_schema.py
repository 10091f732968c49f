"""Schemas made simple."""

from __future__ import annotations

import pytest

from callpipe.processors.tools.schema import RecursiveSchemaError, simplified


def test_references_are_replaced_and_what_stands_beside_them_wins() -> None:
    schema = {
        "$defs": {
            "Size": {"title": "Size", "description": "Any size.", "enum": ["s", "l"], "type": "string"},
            "Cup": {"title": "Cup", "type": "object", "properties": {"size": {"$ref": "#/$defs/Size"}}},
        },
        "title": "arguments",
        "type": "object",
        "properties": {
            "cup": {"$ref": "#/$defs/Cup", "description": "Which cup."},
            "spare": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}], "title": "Spare"},
            "size": {"$ref": "#/$defs/Size", "description": "This size."},
        },
    }
    size = {"description": "Any size.", "enum": ["s", "l"], "type": "string"}
    assert simplified(schema) == {
        "type": "object",
        "properties": {
            "cup": {"type": "object", "properties": {"size": size}, "description": "Which cup."},
            "spare": {"anyOf": [size, {"type": "null"}]},
            "size": {**size, "description": "This size."},
        },
    }


def test_a_property_may_be_called_title_and_a_default_is_no_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "title": "Title"},
            "options": {"type": "object", "default": {"title": "x"}},
        },
        "required": ["title"],
    }
    assert simplified(schema) == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "options": {"type": "object", "default": {"title": "x"}},
        },
        "required": ["title"],
    }


def test_the_same_definition_may_be_used_twice() -> None:
    schema = {"$defs": {"A": {"type": "string"}}, "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}
    assert simplified(schema) == {"prefixItems": [{"type": "string"}, {"type": "string"}]}


def test_a_definition_that_refers_to_itself_is_named() -> None:
    schema = {
        "$defs": {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}},
        "properties": {"tree": {"$ref": "#/$defs/Tree"}},
    }
    with pytest.raises(RecursiveSchemaError, match="Tree"):
        simplified(schema)
