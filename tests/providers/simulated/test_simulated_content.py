"""What the simulated model says, without any wire."""

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.providers.simulated.dice import Dice, digest_of
from glassway.providers.simulated.phrases import reply_to
from glassway.providers.simulated.prompt import count_tokens, first_tokens
from glassway.providers.simulated.schema import instance_of
from glassway.providers.simulated.script import fragments_of, pieces_of

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value", "children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
LINKED = {
    "$defs": {"item": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/item"}, {"type": "null"}]}}, "required": ["next"]}},
    "$ref": "#/$defs/item",
}  # fmt: skip
SCHEMAS = [
    {"type": "string", "minLength": 40},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "uuid"},
    {"type": "integer", "minimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "minimum": 10, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
    {"type": "number", "minimum": -1, "maximum": -0.999},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 4, "maxItems": 4},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": {"type": "integer"}},
    {"type": ["string", "null"]},
    {"const": {"a": [1]}},
    {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"type": "object"}]},
    {"type": "object", "properties": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"enum": ["x", None]}}},
    TREE,
    LINKED,
]


@pytest.mark.parametrize("schema", SCHEMAS)
@given(seed=st.integers(0, 200))
@settings(deadline=None, max_examples=30)
def test_instances_satisfy_their_schema(schema, seed):
    jsonschema.Draft202012Validator(schema).validate(instance_of(schema, Dice(str(seed))))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)  # fmt: skip
NO_DEADLINE = settings(deadline=None)  # the machine may be busy
schema_keys = ["type", "items", "enum", "minItems", "maxItems", "minimum", "$ref", "anyOf", "required", "multipleOf"]


@given(st.dictionaries(st.sampled_from(schema_keys), json_values))
@NO_DEADLINE
def test_nonsense_for_a_schema_gives_some_value_and_never_an_exception(schema):
    instance_of(schema, Dice("0"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "maximum": float("inf")},
        {"type": "number", "minimum": 10**400},
        {"type": "integer", "minimum": float("nan"), "multipleOf": 1e999},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12},
    ],
)
def test_absurd_bounds_give_some_value_of_a_sane_size(schema):
    assert len(str(instance_of(schema, Dice("0")))) < 20_000


def test_a_schema_that_branches_for_ever_still_ends():
    branches = {name: {"$ref": "#"} for name in "abcdefgh"}
    instance_of({"type": "object", "properties": branches, "required": list(branches)}, Dice("0"))


def test_a_schema_that_refers_to_itself_for_ever_still_ends():
    instance_of({"$ref": "#"}, Dice("0"))
    instance_of({"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]}, Dice("0"))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("What is 2+2?", "2 + 2 = 4"),
        ("Compute 12 * 12 please", "12 * 12 = 144"),
        ("7 / 2", "7 / 2 = 3.5"),
        ("1/0", "Division by zero is not defined."),
        ("what's the capital city of germany", "The capital of Germany is Berlin."),
        ("Say exactly: my key is 123", "my key is 123"),
    ],
)
def test_sensible_questions_get_sensible_answers(asked, answer):
    assert reply_to(asked, Dice("0")) == answer


@pytest.mark.parametrize(
    "text", ["on 2024-01-15", "call 555-123-4567", "version 1.2-3.4", "the capital of Nowhere", ""]
)
def test_what_only_looks_like_a_question_gets_a_sentence(text):
    assert reply_to(text, Dice("0")).count(".") == 2


@given(st.text())
def test_the_pieces_of_a_stream_join_to_the_text(text):
    assert "".join(pieces_of(text)) == text
    assert "".join(fragments_of(text)) == text


@given(st.text(), st.integers(-2, 20))
def test_the_first_tokens_are_never_more_than_asked_for(text, tokens):
    assert count_tokens(first_tokens(text, tokens)) <= max(tokens, 0)


def test_dice_roll_the_same_on_every_machine():
    # A change of these values changes every recorded demo: make it on purpose.
    dice = Dice("seed")
    assert [dice.below(100) for _ in range(4)] == [6, 74, 54, 49]
    assert Dice("seed").child("id").token(8) == "WotuKW1R"
    assert digest_of("ab", "c") != digest_of("a", "bc")
