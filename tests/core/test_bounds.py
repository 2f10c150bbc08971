import pytest
from typing_extensions import TypedDict

from thalweg.core.bounds import DEEPEST, LARGEST_INTEGER, check_bounds, declared
from thalweg.core.errors import LONGEST, InputError, Problem


def nested(depth, kind=list):
    value = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_values_are_nested_to_a_bound(kind):
    check_bounds("spec", nested(DEEPEST, kind))
    for depth in (DEEPEST + 2, 200_000):
        with pytest.raises(InputError, match=f"at most {DEEPEST}"):
            check_bounds("spec", nested(depth, kind))


def test_a_list_that_holds_itself_is_refused():
    value = []
    value += [value, value]
    with pytest.raises(InputError):
        check_bounds("spec", value)


@pytest.mark.parametrize("number", [LARGEST_INTEGER + 1, -LARGEST_INTEGER - 2, pytest.param(10**5000, id="long")])
def test_large_whole_numbers_are_refused_at_their_place(number):
    check_bounds("spec", {"a": [LARGEST_INTEGER, -LARGEST_INTEGER, True, 1e300]})
    with pytest.raises(InputError) as raised:
        check_bounds("spec", {"a": [{"b": number}]})
    assert raised.value.problems[0].place == "a[0].b"


def test_values_are_counted():
    check_bounds("spec", {"a": [0.5] * 9}, most=10)
    with pytest.raises(InputError, match="at most 10"):
        check_bounds("spec", {"a": [0.5] * 10}, most=10)


class Fields(TypedDict):
    name: str
    numbers: list[float]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"name": 1, "numbers": []}, "name"),
        ({"name": "a", "numbers": ["1.0"]}, "numbers.0"),
        ({"name": "a", "numbers": [True]}, "numbers.0"),
        ({"name": "a"}, "numbers"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_value_is_what_is_declared(value, place):
    assert declared(Fields, {"name": "a", "numbers": [1, 0.5]}, "file") == {"name": "a", "numbers": [1.0, 0.5]}
    with pytest.raises(InputError) as raised:
        declared(Fields, value, "file", "line 2")
    assert raised.value.subject == "file"
    assert [problem.place for problem in raised.value.problems] == [f"line 2.{place}".rstrip(".")]


@pytest.mark.parametrize(
    "error",
    [
        InputError("a" * 10**6, "b" * 10**6),
        InputError("a" * 10**6, [Problem("c" * 10**5, "b" * 10**5)] * 1000),
        InputError("a", [Problem("c", "b")] * 10_000),
    ],
)
def test_messages_are_bounded_and_keep_their_end(error):
    text = str(error)
    assert LONGEST / 3 < len(text) <= LONGEST
    assert text.endswith(("b", "more"))
