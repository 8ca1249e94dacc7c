"""The language that picks and sorts runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslterm.errors import UsageError
from sslterm.run.query import Facts, check_keys, check_order, parse, parse_order, sort_key


def facts(name: str = "vae-digits-1", **changed: Any) -> Facts:
    fields = {
        "name": name, "method": "vae", "preset": "digits", "state": "running", "step": 120, "images": 15_360,
        "age": 90.0, **changed,
    }  # fmt: skip
    config: Mapping[str, Any] = {"optim.main.lr": 1e-3, "method.widths": [256, 128], "train.compile": False}
    return Facts(fields, lambda: config, {"test/knn": 0.842, "main/loss": float("nan")})


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("", True),
        ("  ", True),
        ("digits", True),
        ("DIGITS vae", True),
        ("mnist", False),
        ("method = vae and state = running", True),
        ("method=vae and state=finished", False),
        ("method = VAE", True),
        ("state != finished", True),
        ("optim.main.lr > 0.1", False),
        ("optim.main.lr = 1e-3", True),
        ("optim.main.lr >= 0.001", True),
        ("optim.main.lr < 1_000", True),
        ("test/knn >= 0.8", True),
        ("step == 120", True),
        ("images > 9e3", True),  # as text, "15360" would be before "9e3"
        ("name ~ digits", True),
        ("name !~ digits", False),
        ("name ~ 'digits-1'", True),
        ('name = "vae-digits-1"', True),
        ("age < 2m", True),
        ("age >= 1.5m", True),
        ("age > 0.1h", False),
        ("train.compile = false", True),
        ("method.widths = '[256,128]'", True),
        ("method.widths ~ 128", True),
        ("nothing.of.this = 1", False),
        ("nothing.of.this != 1", False),
        ("not nothing.of.this = 1", True),
        ("not (mnist or shapes)", True),
        ("mnist or vae and running", False),
        ("(mnist or vae) state = running", True),
        ("mnist or vae state = running", True),
        ("not not vae", True),
        ("main/loss > 0", False),
        ("main/loss < 0", False),
        ("'and'", False),
        ("optim.main.lr = small", False),
        ("optim.main.lr != small", True),
    ],
)
def test_what_a_query_picks(text: str, picked: bool) -> None:
    assert parse(text).matches(facts()) is picked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method =", "column 9: expected a value after '=', found the end"),
        ("= vae", "column 1: expected a key, a part of a name, 'not' or '(', found '='"),
        ("vae and", "column 8: expected a key, a part of a name, 'not' or '(', found the end"),
        ("(vae or mnist", "column 14: expected ')', found the end"),
        ("vae)", "column 4: expected 'and', 'or' or the end, found ')'"),
        ("step > many", "column 8: expected a number, found 'many'"),
        ("age < 3w", "column 7: expected a number, or one with s, m, h or d, found '3w'"),
        ("name = 'vae", 'column 8: expected a closing quote after "\'"'),
        ("name ! vae", "column 6: expected '!=' or '!~' after '!'"),
        ("or", "column 1: expected a key, a part of a name, 'not' or '(', found 'or'"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.message == message


def test_a_key_of_no_run_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        check_keys(parse("vae and optim.main.lrr > 1"), [facts()])
    assert caught.value.message == "column 9: no run has a key 'optim.main.lrr'"
    assert caught.value.hint == "did you mean 'optim.main.lr'?"
    check_keys(parse("optim.main.lr > 1 and age < 1 and test/knn = 2"), [facts()])
    check_keys(parse("what.ever > 1"), [])
    with pytest.raises(UsageError, match="no run has a key 'zzz'"):
        check_order(parse_order("zzz"), [facts()])


@given(st.text() | st.text("()=<>!~'\"\\ andortv1.e-", max_size=40))
def test_any_text_is_a_query_or_a_usage_error(text: str) -> None:
    message, picked = "", False
    try:
        picked = parse(text).matches(facts())
    except UsageError as error:
        message = error.message
    assert message.startswith("column ") if message else picked in (True, False)


_words = st.sampled_from(
    ["digits", "mnist", "step > 100", "state = finished", "test/knn >= 0.8", "no.key = 1"]
)
_queries = st.recursive(
    _words,
    lambda inner: st.tuples(inner, inner, st.sampled_from(["and", "or"])) | st.tuples(inner),
    max_leaves=8,
)  # a leaf, (left, right, join), or (negated,)


def _written(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    if len(tree) == 1:
        return f"not ({_written(tree[0])})"
    return f"({_written(tree[0])}) {tree[2]} ({_written(tree[1])})"


def _meant(tree: Any) -> bool:
    if isinstance(tree, str):
        return {"digits": True, "step > 100": True, "test/knn >= 0.8": True}.get(tree, False)
    if len(tree) == 1:
        return not _meant(tree[0])
    left, right = _meant(tree[0]), _meant(tree[1])
    return (left and right) if tree[2] == "and" else (left or right)


@given(_queries)
def test_brackets_and_words_mean_what_they_say(tree: Any) -> None:
    assert parse(_written(tree)).matches(facts()) is _meant(tree)


def test_deep_brackets_are_refused_and_not_a_crash() -> None:
    with pytest.raises(UsageError, match="brackets within each other"):
        parse("(" * 10_000)
    with pytest.raises(UsageError, match="brackets within each other"):
        parse("not " * 10_000 + "vae")


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("step", ["b", "c", "a", "none"]),
        ("-step", ["a", "c", "b", "none"]),
        ("name", ["a", "b", "c", "none"]),
        ("-name", ["none", "c", "b", "a"]),
    ],
)
def test_sorting_puts_what_is_missing_last_either_way(order: str, names: list[str]) -> None:
    runs = [facts("none", step=None), facts("c", step=2.5), facts("a", step=10**400), facts("b", step=-1)]
    found = sorted(runs, key=sort_key(parse_order(order)))
    assert [one.get("name") for one in found] == names


@given(st.lists(st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.booleans(), max_size=6))
def test_anything_can_be_sorted(values: list[Any]) -> None:
    runs = [facts(step=value) for value in values]
    for order in ("step", "-step"):
        found = [one.get("step") for one in sorted(runs, key=sort_key(parse_order(order)))]
        lacks = [value is None or value != value for value in found]
        assert lacks == sorted(lacks)


def test_an_order_needs_a_key() -> None:
    assert parse_order(" - test/knn ").text == "-test/knn"
    with pytest.raises(UsageError, match="no key"):
        parse_order(" -")
