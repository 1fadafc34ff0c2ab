"""The library: strict prompt files, today's form and the older one, re-read when they change."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from herding.errors import ConfigError, NotFoundError
from herding.prompts.compose import compose
from herding.prompts.library import Library
from herding.prompts.variables import NumberVariable, TextVariable
from herding.values import Message, Parameters
from tests.support import edits

GOOD = "name: Good\ntarget_models: [m]\nprompt: hello\n"
HEAD = "name: X\ntarget_models: [m]\n"
HEAD_DATA = {"name": "X", "target_models": ["m"], "prompt": "x"}


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    edits.write(path, dedent(text))
    return path


def broken(directory: Path, text: str) -> ConfigError:
    write(directory, "bad.yaml", text)
    (error,) = Library(directory).refresh().broken
    return error


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (HEAD + "prompt: x\ncolour: red\n", 4, "colour", "not known"),
        ("target_models: [m]\nprompt: x\n", None, "name", "missing"),
        ("name: X\nprompt: x\n", None, "target_models", "missing"),
        ("name: X\ntarget_models: []\nprompt: x\n", 2, "target_models", "at least 1"),
        (HEAD, None, None, "needs messages, prompt or variants"),
        (HEAD + "prompt: x\nmessages:\n  - {role: user, content: x}\n", None, None, "not both"),
        (HEAD + "messages:\n  - {role: user, content: x}\n  - {role: robot, content: x}\n", 5, "messages.1.role", ""),
        (HEAD + "prompt: x\nlabel: live\n", 4, "label", "dev"),
        (HEAD + "prompt: hi {{who}}\n", None, None, "{{who}}, which is not declared"),
        (HEAD + "prompt: x\nvariables:\n  n:\n    type: number\n    min: low\n", 7, "variables.n.min", "number"),
        (HEAD + "prompt: x\nvariables:\n  n:\n    type: number\n    size: 3\n", 7, "variables.n.size", "not known"),
        (HEAD + "prompt: x\nvariables:\n  n: {type: colour}\n", 5, "variables.n", "colour"),
        (HEAD + "prompt: x\nvariables:\n  two words: {}\n", 5, "variables.two words", "match"),
        (HEAD + "prompt: x\nvariables:\n  n: {type: number, default: many}\n", 5, "variables.n", "does not fit"),
        (HEAD + "prompt: x\nvariables:\n  n: {type: number, default: " + "9" * 400 + "}\n", 5, "variables.n", "fit"),
        (HEAD + "prompt: x\nparameters:\n  temperature: 9\n", 5, "parameters.temperature", "less than"),
        (HEAD + "prompt: x\nparameters:\n  temperature: .nan\n", 5, "parameters.temperature", ""),
        (HEAD + "prompt: x\nparameters:\n  max_tokens: 0\n", 5, "parameters.max_tokens", "greater"),
        (HEAD + "prompt: x\nparameters:\n  heat: 1\n", 5, "parameters.heat", "not known"),
        (HEAD + "prompt: x\nchecks:\n  regex: '('\n", 5, "checks.regex", "regular expression"),
        (HEAD + "prompt: x\ncontract:\n  regex: '('\n", 5, "contract.regex", "regular expression"),
        (HEAD + "prompt: x\nchecks: {}\ncontract: {}\n", 5, "contract", "old name of 'checks'"),
        (HEAD + "prompt: x\nchecks:\n  json_schema: {type: thing}\n", 5, "checks.json_schema", "JSON schema"),
        (HEAD + "variants:\n  - name: a\n    when: error >\n    prompt: x\n", 5, "variants.0.when", "not a condition"),
        (HEAD + "variants:\n  - name: a\n    when: 1 < x\n    prompt: x\n", 5, "variants.0.when", "'x', which is not"),
        (HEAD + "variants:\n  - name: a\n    when: 1 < 2\n", 4, "variants.0", "either messages or prompt"),
        (HEAD + "chat: true\nprompt: x\n", None, None, "role user"),
        (HEAD + "name: Y\nprompt: x\n", 3, "name", "twice"),
        ("- a\n", None, None, "expected keys"),
        ("", None, None, "expected keys"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(
    tmp_path: Path, text: str, line: int | None, key: str | None, words: str
) -> None:
    error = broken(tmp_path, text)
    assert (error.file, error.line, error.key) == (f"{tmp_path.name}/bad.yaml", line, key)
    assert words in error.reason


def test_a_broken_file_does_not_hinder_the_others(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD)
    write(tmp_path, "b.yaml", "name: [")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    write(tmp_path, "d.yml", GOOD)
    write(tmp_path, "folder/e.yaml", GOOD)
    write(tmp_path, "two words.yaml", GOOD)
    write(tmp_path, "notes.txt", "no prompt at all")
    snapshot = Library(tmp_path).refresh()
    assert sorted(snapshot.prompts) == ["a", "d", "folder/e"]
    assert len(snapshot.broken) == 3


@pytest.mark.parametrize(
    "name", [".hidden.yaml", "._good.yaml", ".git/good.yaml", "a/.trash/b.yml", "..data/good.yaml"]
)
def test_what_begins_with_a_dot_belongs_to_other_programs(tmp_path: Path, name: str) -> None:
    write(tmp_path, "good.yaml", GOOD)
    write(tmp_path, name, "\x00 no prompt")
    found = Library(tmp_path).refresh()
    assert list(found.prompts) == ["good"]
    assert found.broken == ()


def test_files_that_are_links_into_a_hidden_folder_are_read(tmp_path: Path) -> None:
    write(tmp_path, "..2026/good.yaml", GOOD)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "good.yaml").symlink_to("..data/good.yaml")
    assert list(Library(tmp_path).refresh().prompts) == ["good"]


@pytest.mark.parametrize("kind", ["a link to nothing", "a link to itself", "a pipe", "an endless device"])
def test_what_is_no_file_is_named_and_its_prompt_is_not_gone(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, "good.yaml", GOOD)
    library = Library(tmp_path)
    assert "good" in library.refresh().prompts
    path.unlink()
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"a link to nothing": "nowhere", "a link to itself": "good.yaml"}.get(kind, "/dev/zero"))
    (error,) = library.refresh().broken
    assert "is not a file, or a link to none" in str(error)
    assert not library.is_deleted("good", "good.yaml")
    path.unlink()
    assert library.refresh().broken == ()
    assert library.is_deleted("good", "good.yaml")


def test_two_files_cannot_define_one_prompt(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD)
    write(tmp_path, "a.yml", GOOD)
    snapshot = Library(tmp_path).refresh()
    assert list(snapshot.prompts) == ["a"]
    assert "already defines the prompt 'a'" in snapshot.broken[0].reason


def test_a_directory_that_is_missing_is_reported(tmp_path: Path) -> None:
    snapshot = Library(tmp_path / "none").refresh()
    assert not snapshot.prompts
    assert "does not exist" in snapshot.broken[0].reason


def test_an_unknown_prompt_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'ghost'"):
        Library(tmp_path).get("ghost")


def test_edits_deletions_and_new_files_are_picked_up(tmp_path: Path) -> None:
    library = Library(tmp_path)
    path = write(tmp_path, "a.yaml", GOOD)
    library.refresh()
    first = library.get("a").prompt

    write(tmp_path, "a.yaml", GOOD + "tags: [new]\n")
    write(tmp_path, "b.yaml", GOOD)
    assert sorted(library.refresh().prompts) == ["a", "b"]
    assert library.get("a").prompt.tags == ["new"]
    assert library.get("a").prompt.digest != first.digest

    path.unlink()
    assert sorted(library.refresh().prompts) == ["b"]


def test_an_edit_of_the_same_length_is_picked_up(tmp_path: Path) -> None:
    library = Library(tmp_path)
    path = write(tmp_path, "a.yaml", GOOD)
    library.refresh()
    write(tmp_path, "a.yaml", GOOD.replace("hello", "howdy"))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    library.refresh()
    assert library.get("a").prompt.prompt == "howdy"


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD)
    library = Library(tmp_path)
    assert library.refresh() is library.refresh()


def test_a_mended_file_loads_and_a_broken_edit_unloads(tmp_path: Path) -> None:
    library = Library(tmp_path)
    write(tmp_path, "a.yaml", "name: [")
    assert library.refresh().broken
    write(tmp_path, "a.yaml", GOOD)
    assert library.refresh().broken == ()
    assert library.get("a").prompt.name == "Good"


def test_the_older_form(tmp_path: Path) -> None:
    text = """
        name: Old
        version: 3
        target_models: [m]
        variables:
          - system_message: You are an expert.
          - number: 12
          - empty:
          - flag: true
        prompt: "[INST] <<SYS>>{{system_message}}<</SYS>> {{number}} {{empty}} {{flag}} [/INST]"
        param: {do_sample: false, temperature: 0.7, max_new_tokens: 50, stop_words: ["</s>"], repetition_penalty: 1.1}
        """
    write(tmp_path, "old.yaml", text)
    snapshot = Library(tmp_path).refresh()
    assert snapshot.broken == ()
    loaded = snapshot.prompts["old"]
    assert {name: kind.start for name, kind in loaded.prompt.variables.items()} == {
        "system_message": "You are an expert.",
        "number": "12",
        "empty": "",
        "flag": "true",
    }
    assert loaded.prompt.parameters.value == Parameters(temperature=0, max_tokens=50, stop=("</s>",))
    assert any("repetition_penalty" in note for note in loaded.notes)
    assert any("version" in note for note in loaded.notes)


def test_checks_under_their_old_name(tmp_path: Path) -> None:
    old = write(tmp_path, "old.yaml", HEAD + "prompt: x\ncontract: {max_words: 3}  # short\n")
    write(tmp_path, "new.yaml", HEAD + "prompt: x\nchecks: {max_words: 3}\n")
    library = Library(tmp_path)
    library.refresh()
    loaded = library.get("old").prompt
    assert loaded.checks.max_words == 3
    assert loaded.digest == library.get("new").prompt.digest
    assert loaded.content["checks"] == {"max_words": 3}
    library.save("old", loaded.file_data | {"description": "changed"})
    assert "checks: {max_words: 3}\n" in old.read_text().replace("checks:\n  max_words: 3", "checks: {max_words: 3}")
    assert "contract" not in old.read_text()
    library.save("old", HEAD_DATA | {"contract": {"max_words": 4}})
    assert library.get("old").prompt.checks.max_words == 4
    assert "contract" not in old.read_text()


def test_defaults_of_the_older_form_are_what_is_written(tmp_path: Path) -> None:
    text = "name: X\ntarget_models: [m]\nprompt: x\nvariables:\n"
    written = {"a": "12:30", "b": "007", "c": "1_000", "d": "2024-01-31", "e": "0x1F", "f": "15"}
    write(tmp_path, "x.yaml", text + "".join(f"  - {name}: {value}\n" for name, value in written.items()))
    variables = Library(tmp_path).refresh().prompts["x"].prompt.variables
    assert {name: variable.default for name, variable in variables.items()} == written


def test_several_prompts_in_one_older_file(tmp_path: Path) -> None:
    text = """
        first:
          name: First
          target_models: [m]
          variables: [{a: x}]
          prompt: "{{a}}"
        second:
          name: Second
          target_models: [m]
          prompt: hi
        """
    write(tmp_path, "many.yaml", text)
    prompts = Library(tmp_path).refresh().prompts
    assert sorted(prompts) == ["first", "second"]
    assert prompts["second"].prompt.prompt == "hi"


def test_a_mistake_in_one_of_several_prompts_is_named(tmp_path: Path) -> None:
    text = "one:\n  name: A\n  target_models: [m]\n  prompt: x\ntwo:\n  name: B\n  target_models: 3\n  prompt: x\n"
    error = broken(tmp_path, text)
    assert (error.line, error.key) == (7, "two.target_models")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + "prompt: x\nvariables:\n  - [a]\n", 4, "a map of its name"),
        (HEAD + "prompt: x\nvariables:\n  - a: 1\n  - a: 2\n", 4, "given twice"),
        (HEAD + "prompt: x\nvariables:\n  - a: [1]\n", 4, "must be a text"),
        (HEAD + "prompt: x\nparam: [1]\n", 4, "map of parameters"),
        (HEAD + "prompt: x\nparam:\n  max_new_tokens: none\n", None, "integer"),
    ],
)
def test_a_mistake_in_the_older_form_is_named(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    error = broken(tmp_path, text)
    assert error.line == line
    assert words in error.reason


def test_text_is_the_default_type_of_a_variable(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", HEAD + "prompt: x\nvariables:\n  a: {}\n  b: {type: number, default: 1}\n")
    variables = Library(tmp_path).refresh().prompts["a"].prompt.variables
    assert isinstance(variables["a"], TextVariable)
    assert isinstance(variables["b"], NumberVariable)


def test_equal_prompts_have_equal_digests_whatever_the_order_of_keys(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: X\ntarget_models: [m]\nprompt: x\nparameters: {top_k: 1, seed: 2}\n")
    write(tmp_path, "b.yaml", "prompt: x\nparameters:\n  seed: 2\n  top_k: 1\ntarget_models:\n- m\nname: X\n")
    write(tmp_path, "c.yaml", "prompt: y\nparameters:\n  seed: 2\n  top_k: 1\ntarget_models:\n- m\nname: X\n")
    prompts = Library(tmp_path).refresh().prompts
    assert prompts["a"].prompt.digest == prompts["b"].prompt.digest != prompts["c"].prompt.digest


WRITTEN = """\
name: 2.0  # a comment
tags: [1.10, 007]
target_models: [1.10]
variables:
  version: {default: 1.10}
  size:
    type: choice
    choices: [1.0, 2.50]
    default: 2.50
messages:
  - {role: user, content: "Release {{version}} of {{size}}"}
parameters: {stop: [3.0]}
"""


def test_numbers_that_are_texts_keep_their_characters(tmp_path: Path) -> None:
    path = write(tmp_path, "p.yaml", WRITTEN)
    library = Library(tmp_path)
    prompt = library.refresh().prompts["p"].prompt
    assert (prompt.name, prompt.tags, prompt.target_models) == ("2.0", ["1.10", "007"], ["1.10"])
    assert prompt.parameters.stop == ["3.0"]
    values = {name: variable.start for name, variable in prompt.variables.items()}
    assert compose(prompt, values).messages == (Message("user", "Release 1.10 of 2.50"),)

    library.save("p", prompt.file_data | {"description": "new"})
    assert path.read_text() == WRITTEN + "description: new\n"
    again = Library(tmp_path).refresh().prompts["p"].prompt
    assert again.content == prompt.content | {"description": "new"}
    variables = prompt.content["variables"] | {"size": {"type": "choice", "choices": ["2.50"], "default": "2.50"}}
    library.save("p", prompt.file_data | {"variables": variables, "tags": ["1.10"], "target_models": ["m", "1.10"]})
    again = Library(tmp_path).refresh().prompts["p"].prompt
    assert (again.tags, again.target_models) == (["1.10"], ["m", "1.10"])
    assert again.variables["size"].default == "2.50"
    assert again.variables["version"].default == "1.10"


def test_the_older_form_keeps_the_characters_of_defaults(tmp_path: Path) -> None:
    write(
        tmp_path, "p.yaml", "name: P\ntarget_models: [m]\nvariables:\n  - v: 1.10\n  - w: no\nprompt: '{{v}} {{w}}'\n"
    )
    prompt = Library(tmp_path).refresh().prompts["p"].prompt
    assert {name: variable.start for name, variable in prompt.variables.items()} == {"v": "1.10", "w": "no"}


@pytest.mark.parametrize("place", ["default: no", "choices: [yes, b]", "description: off"])
def test_a_word_that_is_a_boolean_needs_quotes(tmp_path: Path, place: str) -> None:
    kind = "choice" if "choices" in place else "text"
    text = f"name: P\ntarget_models: [m]\nvariables:\n  v:\n    type: {kind}\n    {place}\nprompt: x\n"
    write(tmp_path, "p.yaml", text)
    (error,) = Library(tmp_path).refresh().broken
    assert error.line == 6
    assert "put quotes around it" in error.reason
    assert (error.key or "").startswith(f"variables.v.{place.partition(':')[0]}")
