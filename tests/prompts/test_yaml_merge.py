"""Changes in a file's text: comments, order and quotes of what stays."""

from __future__ import annotations

import copy
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from herding.prompts.yaml_merge import is_same, merge_text, restore_spelling

TEXT = dedent(
    """\
    # top
    name: Good   # the name
    # about models
    target_models: [m, "n"]  # models
    variables:
        # first
        a: {type: text, default: "x"}   # a
        # second
        b:
            type: number
            default: 3  # three
    messages:
    - role: system   # sys
      # about
      content: |  # block
        hello
        there

    # user
    - {role: user, content: '{{a}}'}
    parameters: {temperature: 0.1, stop: []} # p
    # end
    """
)
DATA: dict[str, Any] = yaml.safe_load(TEXT)


def with_change(change: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    change(data)
    return data


def changed_lines(new: str) -> tuple[list[str], list[str]]:
    """The lines that are gone, and those that are new."""
    old, made = TEXT.splitlines(), new.splitlines()
    return [line for line in old if line not in made], [line for line in made if line not in old]


def test_what_did_not_change_stays_as_it_is() -> None:
    assert merge_text(TEXT, DATA) == TEXT


@pytest.mark.parametrize(
    ("change", "gone", "made"),
    [
        (lambda d: d.update(name="Better"), ["name: Good   # the name"], ["name: Better   # the name"]),
        (
            lambda d: d.update(name="Two\nlines"),
            ["name: Good   # the name"],
            ["name: |-   # the name", "  Two", "  lines"],
        ),
        (
            lambda d: d.update(target_models=["m", "o"]),
            ['target_models: [m, "n"]  # models'],
            ['target_models: [m, "o"]  # models'],
        ),
        (
            lambda d: d.update(target_models=["o"]),
            ['target_models: [m, "n"]  # models'],
            ["target_models: [o]  # models"],
        ),
        (
            lambda d: d["variables"]["b"].update(default=4),
            ["        default: 3  # three"],
            ["        default: 4  # three"],
        ),
        (lambda d: d["variables"].update(c={"type": "text"}), [], ["    c:", "      type: text"]),
        (
            lambda d: d["variables"]["a"].update(default="it's"),
            ['    a: {type: text, default: "x"}   # a'],
            ['    a: {type: text, default: "it\'s"}   # a'],
        ),
        (lambda d: d["messages"][0].update(content="other\nthere\n"), ["    hello"], ["    other"]),
        (
            lambda d: d["messages"][1].update(content="yes"),
            ["- {role: user, content: '{{a}}'}"],
            ["- {role: user, content: 'yes'}"],
        ),
        (lambda d: d["messages"].append({"role": "user", "content": "x"}), [], ["- role: user", "  content: x"]),
        (lambda d: d["messages"].pop(), ["- {role: user, content: '{{a}}'}"], []),
        (lambda d: d.pop("parameters"), ["parameters: {temperature: 0.1, stop: []} # p"], []),
        (lambda d: d.update(label="prod", description="d"), [], ["description: d", "label: prod"]),
    ],
)
def test_only_what_changed_is_written(change: Any, gone: list[str], made: list[str]) -> None:
    data = with_change(change)
    text = merge_text(TEXT, data)
    assert yaml.safe_load(text) == data
    assert changed_lines(text) == (gone, made)


FLOW = """\
# top
{name: Good, # the name
 target_models: [m], # models
 # about the text
 prompt: "hi", # text
 parameters: {temperature: 0.1, seed: 1} # numbers
} # end
"""


@pytest.mark.parametrize(
    ("change", "gone", "made"),
    [
        (lambda d: d.update(label="prod"), "seed: 1} #", "seed: 1}, label: prod #"),
        (lambda d: d.update(prompt="one\ntwo\n"), 'prompt: "hi"', 'prompt: "one\\ntwo\\n"'),
        (lambda d: d.update(description="a\nb"), "seed: 1} #", 'seed: 1}, "description": "a\\nb" #'),
        (lambda d: d.update(target_models=["m", "n"]), "[m]", "[m, n]"),
        (lambda d: d.pop("name"), "name: Good, ", ""),
        (lambda d: d.pop("parameters"), " parameters: {temperature: 0.1, seed: 1} #", "  #"),
        (lambda d: d["parameters"].pop("seed"), ", seed: 1", ""),
        (lambda d: d["parameters"].pop("temperature"), "temperature: 0.1, ", ""),
        (lambda d: d["parameters"].update(top_p=0.5), "seed: 1", "seed: 1, top_p: 0.5"),
    ],
)
def test_within_braces_comments_stay_too(change: Any, gone: str, made: str) -> None:
    data = yaml.safe_load(FLOW)
    change(data)
    text = merge_text(FLOW, data)
    assert yaml.safe_load(text) == data
    assert text == FLOW.replace(gone, made)


@pytest.mark.parametrize(
    ("items", "made"),
    [
        (["a", "b", "c"], "a,  # first\n  'b', c # last\n"),
        (["z", "a", "b"], "z, a,  # first\n  'b' # last\n"),
        (["a", "x, y", "b"], "a, 'x, y',  # first\n  'b' # last\n"),
        (["a", "B", {"k": [1]}], "a,  # first\n  'B', {k: [1]} # last\n"),
        (["b", "a"], None),
        (["b"], None),
    ],
)
def test_items_that_come_into_brackets_leave_the_comments_there(items: list[Any], made: str | None) -> None:
    text = "# top\nname: x\nmodels: [\n  a,  # first\n  'b' # last\n]  # all\n"
    data = {"name": "x", "models": items}
    found = merge_text(text, data)
    assert yaml.safe_load(found) == data
    assert found.startswith("# top\n")
    assert made is None or found == f"# top\nname: x\nmodels: [\n  {made}]  # all\n"


@pytest.mark.parametrize("word", ["yes", "no", "on", "012", "1_000", "1e3", "null", "~", "1:30", "2020-01-01", ""])
def test_words_that_yaml_takes_for_something_else(word: str) -> None:
    text = merge_text("name: x\nstay: off\ndescription: 'y'\n", {"name": word, "stay": False, "description": word})
    assert yaml.safe_load(text) == {"name": word, "stay": False, "description": word}


_plain = (
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.sampled_from("ab:#-'\"\n {}[]|>é\\"), max_size=12)
)
_names = st.sampled_from(["name", "messages", "variables", "a", "b", "c: d", "0"])
_values = st.recursive(
    _plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=10
)


@given(data=st.dictionaries(_names, _values, min_size=1, max_size=5))
def test_any_change_of_this_file_is_read_back(data: dict[str, Any]) -> None:
    assert is_same(yaml.safe_load(merge_text(TEXT, DATA | data)), DATA | data)


@given(old=st.dictionaries(_names, _values, max_size=4), new=st.dictionaries(_names, _values, max_size=4))
@pytest.mark.parametrize("flow", [True, False, None])
def test_any_change_of_any_file_is_read_back(old: dict[str, Any], new: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(old, default_flow_style=flow, allow_unicode=True)
    assert is_same(yaml.safe_load(merge_text(text, new)), new)


def test_one_is_not_true() -> None:
    assert not is_same({"a": 1}, {"a": True})
    assert not is_same([1], [1.0])


def test_what_means_the_same_keeps_its_form() -> None:
    raw, known = {"a": {}, "b": [1]}, {"a": {"type": "text"}, "b": [1]}
    assert restore_spelling(raw, known, {"a": {"type": "text"}, "b": [2]}) == {"a": {}, "b": [2]}
    assert restore_spelling([{"a": "x"}], {"a": "x"}, {"a": "x"}) == {"a": "x"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_stay(ends: str, mark: str) -> None:
    data = with_change(lambda data: data.update(name="Better", description="one\ntwo\n"))
    plain = merge_text(TEXT, data)
    assert merge_text(mark + TEXT.replace("\n", ends), data) == mark + plain.replace("\n", ends)
