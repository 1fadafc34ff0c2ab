"""Strict YAML files: every mistake is refused with file, line and key."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from herding import yaml_files
from herding.errors import ConfigError
from herding.yaml_files import StrictModel, YamlDocument


class Cat(StrictModel):
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=1)
    toys: list[str] = Field(default_factory=list)


class Dog(StrictModel):
    kind: Literal["dog"]
    tricks: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)


class House(StrictModel):
    street: str = ""
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(default_factory=list)
    owner: int | None = None


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        YamlDocument(text, file="house.yaml").build(House)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("street: x\ncolour: red\n", 2, "colour", "not known"),
        ("pets:\n  - kind: cat\n    lives: none\n", 3, "pets.0.lives", "integer"),
        ("pets:\n  - kind: cat\n    lives: 0\n", 3, "pets.0.lives", "greater"),
        ("pets:\n  - kind: cat\n    wings: 2\n", 3, "pets.0.wings", "not known"),
        (
            "pets:\n  - kind: cat\n  - kind: dog\n    tricks:\n      sit: 1\n      roll: 0\n",
            6,
            "pets.1.tricks.roll",
            "",
        ),
        ("pets:\n  - kind: cat\n    toys:\n      - ball\n      - [mouse]\n", 5, "pets.0.toys.1", "string"),
        ("street: x\npets:\n  - kind: bird\n", 3, "pets.0", "bird"),
        ("street: x\npets:\n  - lives: 3\n", 3, "pets.0", "kind"),
        ("street: x\npets: none\n", 2, "pets", "list"),
        ("street: [x]\n", 1, "street", "string"),
    ],
)
def test_a_wrong_value_is_named_with_line_and_key(text: str, line: int, key: str, words: str) -> None:
    error = refused(text)
    assert (error.file, error.line, error.key) == ("house.yaml", line, key)
    assert words in error.reason
    assert f"house.yaml:{line}, key '{key}'" in str(error)


def test_a_missing_key_is_named_at_the_place_that_lacks_it() -> None:
    class Door(StrictModel):
        name: str

    class Wall(StrictModel):
        doors: list[Door]

    with pytest.raises(ConfigError) as caught:
        YamlDocument("doors:\n  - {name: front}\n  - {}\n").build(Wall)
    assert (caught.value.line, caught.value.key) == (3, "doors.1.name")
    assert "missing" in caught.value.reason


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("street: a\nstreet: b\n", 2, "street"),
        ("pets:\n  - kind: cat\n    lives: 1\n    lives: 2\n", 4, "lives"),
        ("? street\n: a\n? 'street'\n: b\n", 3, "street"),
    ],
)
def test_a_key_given_twice_is_refused(text: str, line: int, key: str) -> None:
    error = refused(text)
    assert "twice" in error.reason
    assert (error.line, error.key) == (line, key)


@pytest.mark.parametrize(
    ("text", "line"),
    [("street: [a\n", 2), ("street: a\n\tpets: b\n", 2), ("a: 1\n---\nb: 2\n", 2), ("street: !!python/none x\n", 1)],
)
def test_broken_yaml_is_named_with_its_line(text: str, line: int) -> None:
    error = refused(text)
    assert "not valid YAML" in error.reason
    assert error.line == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just a text",
        "- a\n- b\n",
        "42",
        "? [a, b]\n: c\n",
        "{[a]: b}",
        "{{a: 1}: b}",
        "1: x\n",
        "true: x\n",
        "street: \x00",
        "street: \ud800",
        'owner: !!int ""',
        'owner: !!int "+"',
        "owner: !!float ''",
        "owner: !!bool maybe",
        "street: !!timestamp tomorrow",
        "owner: " + "9" * 5000,
        "[" * 5_000,
        "{a: " * 5_000,
        "? " * 2_000,
        "pets: !!python/object/apply:os.system ['true']",
        "<<: 3",
        "=: 1",
    ],
)
def test_whatever_is_no_house_is_a_config_error(text: str) -> None:
    assert refused(text).file == "house.yaml"


@pytest.mark.parametrize("value", ["!!timestamp 2024-13-45", "!!bool maybe", '!!int ""'])
def test_a_value_that_is_not_what_its_tag_says_is_named_with_its_line(value: str) -> None:
    error = refused(f"pets: []\nstreet: {value}\n")
    assert "put a text in quotes" in error.reason
    assert error.line == 2


def test_aliases_are_refused_before_they_explode() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    began = time.thread_time()
    assert "aliases" in refused(bomb).reason
    assert time.thread_time() - began < 10


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("street: Königsweg".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        yaml_files.read(path)
    assert caught.value.file == str(path)


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with path.open("wb") as file:
        file.truncate(40 * 1024**3)
    with pytest.raises(ConfigError, match="larger than"):
        yaml_files.read(path)


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_huge_text_is_refused(letter: str) -> None:
    with pytest.raises(ConfigError, match="larger than"):
        YamlDocument("street: " + letter * (yaml_files.MAX_BYTES // len(letter.encode())))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (("- " + "[" * 300 + "]" * 300 + "\n") * 1_600, "levels deep"),
        ("%YAML 1.9\n---\n" + "[" * 900_000, "levels deep"),
        ("{a: " * 200_000, "levels deep"),
        ("- " * 400_000, "levels deep"),
        ("- [1]\n" * 45_000, "keys and values"),
        ("[" + "1," * 400_000, "keys and values"),
        ("a: |\n" + " x\n" * 300_000, "lines"),
        ("\n" * 900_000, "lines"),
    ],
)
def test_a_text_that_is_slow_to_read_is_refused_at_once(text: str, words: str) -> None:
    began = time.thread_time()
    with pytest.raises(ConfigError, match=words):
        YamlDocument(text)
    assert time.thread_time() - began < 5


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        yaml_files.read(tmp_path / name)


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("\ufeffstreet: |\r\n  one\r\n  two\r\n".encode())
    assert yaml_files.read(path).build(House).street == "one\ntwo\n"


def test_nothing_wrong_gives_the_model() -> None:
    house = YamlDocument("street: x\npets:\n  - {kind: cat}\n  - {kind: dog, tricks: {sit: 3}}\n").build(House)
    assert house == House(street="x", pets=[Cat(kind="cat"), Dog(kind="dog", tricks={"sit": 3})])


@pytest.mark.parametrize(
    "text",
    ["12:30", "1:30:00.5", "007", "0x1F", "0b11", "1_000", "1_0.5", "01.02", "2024-01-31", "2024-01-31 10:00:00", "="],
)
def test_what_only_yaml_of_old_takes_for_a_number_or_a_day_is_text(text: str) -> None:
    assert YamlDocument(f"a: {text}").data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-3", -3), ("+3", 3), ("0", 0), ("0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("-1.5e+3", -1500.0)],
)
def test_numbers_are_numbers(text: str, value: float) -> None:
    found = YamlDocument(f"a: {text}").data["a"]
    assert (found, type(found)) == (value, type(value))


def test_every_word_can_be_a_text() -> None:
    text = "a: 1\nb: no\nc: [1.5, null]\nd: {e: 2024-01-31}\nf: '7'\ng:\n"
    assert YamlDocument(text, as_text=True).data == {
        "a": "1",
        "b": "no",
        "c": ["1.5", "null"],
        "d": {"e": "2024-01-31"},
        "f": "7",
        "g": "",
    }
    with pytest.raises(ConfigError, match="aliases"):
        YamlDocument("a: &x [1]\nb: *x\n", as_text=True)


@pytest.mark.parametrize(
    "written", ["1.10", ".5", "5.", "+1", "-0", "3.0", "007", "0x1F", "1_000", "1e3", "1.0e+3", ".inf", "2026-01-01"]
)
def test_a_number_that_stands_for_a_text_is_the_characters_of_the_file(written: str) -> None:
    found = YamlDocument(f"street: {written}\npets:\n  - kind: cat\n    toys: [a, {written}]\n").build(House)
    assert found.street == written
    assert found.pets[0].toys == ["a", written]  # type: ignore[union-attr]


@pytest.mark.parametrize(("written", "meaning"), [("yes", "true"), ("No", "false"), ("OFF", "false"), ("~", "nothing")])
def test_a_word_that_yaml_reads_as_something_else_needs_quotes(written: str, meaning: str) -> None:
    error = refused(f"pets:\n  - kind: cat\n    toys:\n      - a\n      - {written}\nstreet: x\n")
    assert (error.line, error.key) == (5, "pets.0.toys.1")
    assert error.reason == f'YAML reads {written} as {meaning}; put quotes around it: "{written}"'
    assert YamlDocument(f"street: '{written}'").build(House).street == written


@pytest.mark.parametrize("key", ["on", "no", "null", "~", "1", "1.10", "2026-01-01", "<<", "="])
def test_a_key_is_the_characters_of_the_file(key: str) -> None:
    assert YamlDocument(f"a: {{{key}: 1}}\n{key}: {{b: 1}}").data == {"a": {key: 1}, key: {"b": 1}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("street: x\na: {{name}}\n", 2),
        ("street: x\na: {{name}} and more\n", 2),
        ("street: x\na: one: two\n", 2),
        ("a: [x\n", 2),
        ("a: @x\n", 1),
        ("a: x\nb: *bold* words\n", 2),
        ("a: &x words\n", 1),
        ("a: !note words\n", 1),
        ("a: [INST] {{x}} [/INST]\n", 1),
    ],
)
def test_a_text_that_is_no_yaml_needs_quotes(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match="put quotes around") as caught:
        YamlDocument(text)
    assert caught.value.line == line


def test_what_a_killed_process_left_is_deleted_and_what_is_being_written_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "import os, sys; from pathlib import Path; from herding import yaml_files\n"
    killed += "os.fsync = lambda handle: os.kill(os.getpid(), 9)\nyaml_files.write(Path(sys.argv[1]), 'a: 1')"
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "a.yaml"], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    for other in (".b.yaml", ".c.new", ".notes.txt.abcdefgh.new", "d.yaml.abcdefgh.new"):
        (tmp_path / other).touch()
    seen: list[Path] = []

    def look(_handle: int) -> None:
        yaml_files.remove_unfinished(tmp_path.iterdir())
        seen.extend(tmp_path.glob(".e.yaml.*.new"))

    monkeypatch.setattr(os, "fsync", look)
    yaml_files.write(tmp_path / "e.yaml", "a: 1")
    assert len(seen) == 1
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 5
