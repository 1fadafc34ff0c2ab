"""Prompts that are saved and deleted: whole or not at all, inside the directory, and known at once."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.errors import AccessError, ConfigError, ConflictError, NotFoundError, UserError
from herding.prompts.directory import MAX_FILE
from herding.prompts.library import Library
from herding.prompts.prompt_file import LoadedPrompt
from tests.support import edits

GOOD: dict[str, Any] = {"name": "Good", "target_models": ["m"], "prompt": "hello"}
TEXT = "name: Good\ntarget_models: [m]\nprompt: hello\n"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "prompts").mkdir()
    return Library(tmp_path / "prompts")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


def put(home: Path, name: str, text: str = TEXT) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    edits.write(path, text)
    return path


def names(home: Path) -> list[str]:
    """All that stands below a directory, hidden files too."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def fails(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


# Saving


def test_a_new_prompt_is_known_at_once(library: Library, home: Path) -> None:
    saved = library.save("deep/down/good", GOOD)
    assert library.get("deep/down/good") is saved
    assert (home / "deep/down/good.yaml").read_text() == TEXT
    assert Library(home).refresh().prompts["deep/down/good"].prompt == saved.prompt


def test_a_change_is_known_at_once(library: Library, home: Path) -> None:
    for text in ("howdy", "heyho", "hallo"):  # of one length, and at one moment
        assert library.save("good", GOOD | {"prompt": text}).prompt.prompt == text
    assert names(home) == ["good.yaml"]


def test_the_same_content_leaves_the_file_as_it_is(library: Library, home: Path) -> None:
    path = put(home, "good.yaml", "# mine\n" + TEXT)
    before = path.stat()
    assert library.save("good", {"prompt": "hello", "tags": [], **GOOD}).key == "good"
    assert (path.read_text(), path.stat().st_mtime_ns) == ("# mine\n" + TEXT, before.st_mtime_ns)


def test_a_file_keeps_its_suffix_and_its_mode(library: Library, home: Path) -> None:
    put(home, "good.yml").chmod(0o640)
    library.save("good", GOOD | {"prompt": "new"})
    assert names(home) == ["good.yml"]
    assert (home / "good.yml").stat().st_mode & 0o777 == 0o640
    assert "prompt: new" in (home / "good.yml").read_text()


def test_the_directory_is_made(tmp_path: Path) -> None:
    library = Library(tmp_path / "new" / "prompts")
    library.save("good", GOOD)
    assert library.snapshot.broken == ()


def test_the_older_form_stays_what_it_is(library: Library, home: Path) -> None:
    older = {
        "param": {"max_new_tokens": 9, "num_beams": 2},
        "prompt": "{{a}}",
        "variables": [{"a": "x"}],
        "target_models": ["m"],
        "version": 3,
        "name": "Old",
    }
    saved = library.save("old", older)
    assert saved.prompt.parameters.max_tokens == 9
    assert any("num_beams" in note for note in saved.notes)
    text = "name: Old\ntarget_models: [m]\nversion: 3\nvariables:\n  - a: x\nprompt: '{{a}}'\n"
    assert (home / "old.yaml").read_text() == text + "param:\n  max_new_tokens: 9\n  num_beams: 2\n"


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60))
def test_any_text_is_kept(tmp_path: Path, text: str) -> None:
    library = Library(tmp_path / "prompts")
    data = GOOD | {"prompt": text.replace("{", "("), "description": text}
    library.save("any", data)
    read = Library(tmp_path / "prompts").refresh().prompts["any"].prompt
    assert (read.prompt, read.description) == (data["prompt"], data["description"])


@pytest.mark.parametrize(
    "text",
    [
        "{{ cycler.__init__.__globals__.os }}",
        "{{''.__class__}}",
        "{% include '/etc/passwd' %}",
        "{%- for x in y %}",
        "!!x",
    ],
)
def test_a_hostile_template_is_text(library: Library, text: str) -> None:
    assert library.save("bad", GOOD | {"prompt": text}).prompt.prompt == text


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"colour": "red"}, "colour", "not known"),
        ({"name": ""}, "name", "at least 1"),
        ({"name": None}, "name", "string"),
        ({"target_models": []}, "target_models", "at least 1"),
        ({"prompt": "{{who}}"}, None, "not declared"),
        ({"prompt": 7}, "prompt", "string"),
        ({"prompt": "a\x00b"}, "prompt", "NUL"),
        ({"prompt": "a\ud800b"}, "prompt", "an invalid character"),
        ({"variables": {"n": {"type": "number", "min": "low"}}}, "variables.n.min", "number"),
        ({"variables": {"a\x00": {}}}, "variables", "NUL"),
        ({"variables": [{"a": [1]}]}, "variables", "a text"),
        (
            {"checks": {"json_schema": {"type": "thing"}}},
            "checks.json_schema",
            "JSON schema: type: 'thing' is not one of",
        ),
        ({"checks": {"json_schema": {"const": float("nan")}}}, None, "JSON"),
        ({"checks": {"json_schema": {"const": b"x"}}}, None, "JSON"),
        ({"roles": []}, "roles", "at least 1"),
        ({"roles": ["Two Words"]}, "roles.0", "match"),
        ({"cors": ["https://example.com/"]}, "cors.0", "without a path"),
        ({"cors": ["*", "https://example.com"]}, "cors", "includes all origins"),
        ({"tags": ["x" * MAX_FILE]}, None, "bytes"),
        ({"prompt": "\n" * 90_000, "description": "🎉" * 70_000}, None, "bytes"),
    ],
)
def test_what_is_no_prompt_is_not_written(
    library: Library, home: Path, change: dict[str, Any], param: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        library.save("new", GOOD | change)
    assert caught.value.param == param
    assert names(home) == []


def test_a_prompt_for_several_keys_is_refused(library: Library, home: Path) -> None:
    with pytest.raises(UserError, match="has an error"):
        library.save("many", {"a": GOOD, "b": GOOD})
    assert names(home) == []


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth // 2):
        schema = {"properties": {"a": schema}}
    return GOOD | {"checks": {"json_schema": schema}}


@pytest.mark.parametrize("depth", [102, 200, 260, 300, 800, 100_000])
def test_deep_data_is_refused(library: Library, depth: int) -> None:
    with pytest.raises(UserError, match=r"levels|deep|recursion"):
        library.save("deep", nested(depth))


def test_what_is_not_too_deep_is_saved(library: Library) -> None:
    assert library.save("deep", nested(100)).prompt.digest


def test_data_that_holds_itself_is_refused(library: Library) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(UserError):
        library.save("endless", GOOD | {"variables": endless})


# Keys


@pytest.mark.parametrize(
    "key",
    [
        *("../x", "a/../../b", "a/..", "..", ".", "", "/", "/etc/x", "a//b", "a/", ".hidden", "a/.hidden", "-a", "_a"),
        *("a\x00b", "a b", "a\n", "a@1", "a\\b", "..\\x", "C:x", "é", "\u212a", "%2e%2e/x", "a" * 201, "~/x", "$HOME"),
    ],
)
def test_a_key_that_is_none(library: Library, home: Path, key: str) -> None:
    with pytest.raises(UserError) as caught:
        library.save(key, GOOD)
    assert caught.value.param == "key"
    with pytest.raises(NotFoundError):
        library.delete(key)
    assert names(home.parent) == ["prompts"]


@pytest.mark.parametrize("key", ["a", "A-1_2.3", "a..b", "a.yaml", "a/b.c/d", "x" * 200, "x/" * 60 + "y"])
def test_a_key(library: Library, home: Path, key: str) -> None:
    library.save(key, GOOD)
    assert list(Library(home).refresh().prompts) == [key]
    library.delete(key)
    assert names(home) == []


@pytest.mark.parametrize(("there", "wanted"), [("Say", "say"), ("say", "SAY"), ("Talk/one", "talk/two"), ("a/b", "A")])
def test_keys_differ_by_more_than_their_case(library: Library, home: Path, there: str, wanted: str) -> None:
    library.save(there, GOOD)
    with pytest.raises(ConflictError, match="only by case"):
        library.save(wanted, GOOD)
    assert list(library.refresh().prompts) == [there]


@pytest.mark.parametrize("key", ["a.yaml/b", "x/a.yml/b"])
def test_a_folder_is_not_called_like_a_file(library: Library, key: str) -> None:
    with pytest.raises(UserError, match="folder"):
        library.save(key, GOOD)


def test_a_folder_and_a_prompt_may_share_their_name(library: Library, home: Path) -> None:
    library.save("a", GOOD)
    library.save("a/b", GOOD)
    assert names(home) == ["a", "a.yaml", "a/b.yaml"]


# What is in the way


def test_one_of_several_prompts_in_a_file_is_changed_there(library: Library, home: Path) -> None:
    text = "one:\n  name: A\n  target_models: [m]\n  prompt: x\nmany:\n  name: B\n  target_models: [m]\n  prompt: x\n"
    put(home, "many.yaml", text)
    for key in ("one", "many"):
        with pytest.raises(ConflictError, match=r"prompts/many\.yaml"):
            library.save(key, GOOD)
        with pytest.raises(ConflictError, match=r"prompts/many\.yaml"):
            library.delete(key)
    assert (home / "many.yaml").read_text() == text


@pytest.mark.parametrize("name", ["x.yaml", "x.yml"])
def test_a_file_that_holds_no_such_prompt_is_not_overwritten(library: Library, home: Path, name: str) -> None:
    put(home, name, "name: [")
    with pytest.raises(ConflictError, match="Fix or move"):
        library.save("x", GOOD)
    put(home, name, "other:\n  name: A\n  target_models: [m]\n  prompt: x\n")
    with pytest.raises(ConflictError, match="Fix or move"):
        library.save("x", GOOD)


def test_nothing_is_written_through_links(library: Library, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, "good.yaml")
    (home / "link").symlink_to(outside, target_is_directory=True)
    (home / "file.yaml").symlink_to(outside / "good.yaml")
    (home / "gone.yaml").symlink_to(outside / "gone.yaml")
    library.refresh()
    for key in ("link/good", "link/new", "link/deep/new", "file", "gone"):
        with pytest.raises(ConflictError):
            library.save(key, GOOD | {"prompt": "new"})
    with pytest.raises(ConflictError, match="link"):
        library.delete("file")
    assert names(outside) == ["good.yaml"]
    assert (outside / "good.yaml").read_text() == TEXT


def test_the_directory_itself_may_be_a_link(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "link").symlink_to(home, target_is_directory=True)
    Library(tmp_path / "link").save("good", GOOD)
    assert names(home) == ["good.yaml"]


# When the disk says no


@pytest.mark.parametrize(
    "failure",
    [
        (errno.EROFS, "HERDING_PROMPTS"),
        (errno.EACCES, "HERDING_PROMPTS"),
        (errno.ENOSPC, "Free some space"),
        (errno.EIO, "nothing was changed"),
    ],
)
@pytest.mark.parametrize("step", ["replace", "fsync", "open"])
def test_a_write_that_fails_changes_nothing(
    library: Library, home: Path, monkeypatch: pytest.MonkeyPatch, failure: tuple[int, str], step: str
) -> None:
    code, words = failure
    library.save("good", GOOD)
    with monkeypatch.context() as broken:
        broken.setattr(os, step, fails(code))
        for key in ("good", "deep/new"):
            with pytest.raises(ConfigError, match=words):
                library.save(key, GOOD | {"prompt": "new"})
    assert names(home) == ["good.yaml"]
    assert library.get("good").prompt.prompt == "hello"
    assert library.save("good", GOOD | {"prompt": "new"}).prompt.prompt == "new"


def test_a_directory_that_nobody_may_write(library: Library, home: Path) -> None:
    library.save("good", GOOD)
    home.chmod(0o555)
    try:
        if os.access(home, os.W_OK):
            pytest.skip("this user may write everywhere")
        for change in (lambda: library.save("new", GOOD), lambda: library.delete("good")):
            with pytest.raises(ConfigError, match="HERDING_PROMPTS"):
                change()
    finally:
        home.chmod(0o755)
    assert names(home) == ["good.yaml"]


def test_a_file_that_cannot_be_deleted_stays(library: Library, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.save("good", GOOD)
    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", fails(errno.EROFS))
        with pytest.raises(ConfigError, match="HERDING_PROMPTS"):
            library.delete("good")
    assert library.get("good").prompt.prompt == "hello"


@pytest.mark.parametrize("typed", ["# " + "é" * 150 + "\n" + TEXT, "#\n" * 110 + TEXT])
def test_what_no_file_can_hold_is_refused_before_anything_is_written(
    library: Library, home: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    path = put(home, "good.yaml", TEXT.replace("\n", "\r\n"))
    monkeypatch.setattr("herding.yaml_files.MAX_BYTES", 330)  # with the line ends of the file, the second one has more
    with pytest.raises(ConfigError, match="larger than"):
        library.save("good", GOOD, typed=typed)
    assert path.read_bytes() == TEXT.replace("\n", "\r\n").encode()
    assert library.refresh().broken == ()


# Deleting


def test_a_deleted_prompt_takes_its_empty_folders_along(library: Library, home: Path) -> None:
    library.save("a/b/c", GOOD)
    library.save("a/d", GOOD)
    library.delete("a/b/c")
    assert names(home) == ["a", "a/d.yaml"]
    assert list(library.snapshot.prompts) == ["a/d"]
    library.delete("a/d")
    assert names(home.parent) == ["prompts"]


def test_what_is_not_there_is_not_deleted(library: Library) -> None:
    with pytest.raises(NotFoundError):
        library.delete("ghost")


# Others at the same time


def test_whoever_approves_sees_both_and_may_refuse(library: Library, home: Path) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def approve(old: LoadedPrompt | None, new: LoadedPrompt | None) -> None:
        seen.append((old and old.prompt.prompt, new and new.prompt.prompt))
        if len(seen) > 2:
            raise AccessError("No.")

    library.save("good", GOOD, approve)
    put(home, "good.yaml", TEXT.replace("hello", "by hand"))
    library.save("good", GOOD, approve)
    with pytest.raises(AccessError):
        library.save("good", GOOD | {"prompt": "new"}, approve)
    with pytest.raises(AccessError):
        library.delete("good", approve)
    assert seen == [(None, "hello"), ("by hand", "hello"), ("hello", "new"), ("hello", None)]
    assert (home / "good.yaml").read_text() == TEXT


def test_many_save_at_once(library: Library, home: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            library.refresh()

    def save(number: int) -> str | None:
        return library.save(f"a/k{number % 3}", GOOD | {"prompt": f"text {number}"}).prompt.prompt

    with ThreadPoolExecutor(9) as pool:
        looking = pool.submit(look)
        texts = list(pool.map(save, range(60)))
        stop.set()
        looking.result()
    assert texts == [f"text {number}" for number in range(60)]
    assert names(home) == ["a", "a/k0.yaml", "a/k1.yaml", "a/k2.yaml"]
    assert library.snapshot.prompts == Library(home).refresh().prompts


def test_only_what_changed_is_read_again(library: Library, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "a.yaml")
    put(home, "b.yaml", "name: [")
    first = library.refresh().prompts["a"]
    library.save("c", GOOD)
    assert library.get("a") is first
    assert len(library.snapshot.broken) == 1
    put(home, "a.yml")
    assert [error.file for error in library.refresh().broken] == ["prompts/a.yml", "prompts/b.yaml"]
    (home / "a.yaml").unlink()
    assert library.refresh().prompts["a"].file == home / "a.yml"
