"""The roles file: what it may say, and how a change of it takes effect."""

from __future__ import annotations

import asyncio
import os
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from herding.access.operations import PATHS, RIGHTS, TABS
from herding.access.role_file import Roles
from herding.access.roles import allows
from herding.errors import ConfigError, UserError
from herding.values import Limit
from tests.support.people import ROLES

FILE = """
roles:
  guest: {{}}
  admin:
    allow_api_paths: ["*"]
    rights: ["*"]
    allow_tabs: ["*"]
    allow_prompts: ["*"]
    allow_nodes: ["*"]
  some:
    {some}
"""


def write(path: Path, some: str) -> Path:
    path.write_text(FILE.format(some=some))
    os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + 1))
    return path


def test_what_is_not_listed_is_not_allowed(tmp_path: Path) -> None:
    who = Roles(write(tmp_path / "roles.yaml", "description: nothing")).principal("x", "some")
    assert (who.rights, who.nodes, who.prompts, who.tabs, who.limits) == (frozenset(), (), (), (), ())
    assert Roles(tmp_path / "roles.yaml").principal("x", "no such role").rights == frozenset()


def test_a_path_allows_its_operation_and_a_star_all(tmp_path: Path) -> None:
    roles = Roles(write(tmp_path / "roles.yaml", "allow_api_paths: [/api/v1/infer, /v1/models]"))
    assert roles.get("some").rights == {"run", "models"}
    assert roles.get("admin").rights == set(PATHS.values()) | RIGHTS
    assert roles.get("admin").tabs == TABS


def test_limits_of_the_user_come_on_top_of_the_roles(tmp_path: Path) -> None:
    roles = Roles(write(tmp_path / "roles.yaml", "limits: [{type: token, interval: 0.5, limit: 7}]"))
    own = Limit("request", 1, 3)
    assert roles.principal("x", "some", limits=[own]).limits == (Limit("token", 0.5, 7), own)


@pytest.mark.parametrize(
    ("some", "key"),
    [
        ("allow_api_paths: [/api/v1/infer, /api/v1/everything]", "allow_api_paths"),
        ("allow_tabs: [kitchen]", "allow_tabs"),
        ("rights: [fly]", "rights"),
        ("limits: [{type: money, interval: 1, limit: 1}]", "limits"),
        ("limits: [{type: token, interval: 0, limit: 1}]", "limits"),
        ("limits: [{type: token, interval: 1, limit: -1}]", "limits"),
        ("limits: [{type: token, interval: 1, limit: yes}]", "limits.0.limit"),
        ("limits: [{type: token, interval: yes, limit: 1}]", "limits.0.interval"),
        ("limits: [{type: token, interval: 1, limit: '5'}]", "limits.0.limit"),
        ("limits: [{type: token, interval: 1, limit: 10000000000000}]", "limits.0.limit"),
        ("allowed_nodes: [x]", "allowed_nodes"),
    ],
)
def test_a_mistake_is_a_start_error_that_names_the_place(tmp_path: Path, some: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Roles(write(tmp_path / "roles.yaml", some))
    assert caught.value.line == 11
    assert key in str(caught.value.key)


def test_guest_and_admin_are_needed(tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text("roles: {guest: {}}")
    with pytest.raises(ConfigError, match="admin"):
        Roles(tmp_path / "roles.yaml")


def test_a_changed_file_takes_effect_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    write(path, "rights: [edit, save]")
    roles.refresh()
    assert roles.get("some").rights == {"edit", "save"}
    write(path, "rights: [nonsense]")
    roles.refresh()
    assert roles.get("some").rights == {"edit", "save"}
    assert roles.problem is not None
    write(path, "rights: [publish]")
    roles.refresh()
    assert (roles.get("some").rights, roles.problem) == ({"publish"}, None)


def test_a_change_that_keeps_time_and_size_of_the_file_takes_effect(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles, old = Roles(path), path.stat()
    path.write_text(FILE.format(some="rights: [save]"))
    while path.stat().st_ctime_ns == old.st_ctime_ns:  # as fine as the file system's clock is
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    now = path.stat()
    assert (now.st_mtime_ns, now.st_size, now.st_ino) == (old.st_mtime_ns, old.st_size, old.st_ino)
    roles.refresh()
    assert roles.get("some").rights == {"save"}


def test_the_same_roles_in_other_words_are_no_change(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    write(path, "rights: [nonsense]")
    roles.refresh()
    write(path, "rights: [edit]  # as before")
    roles.refresh()
    assert (roles.problem, roles.edition) == (None, 1)


def test_patterns_are_globs() -> None:
    assert allows(["team/*", "say"], "team/a")
    assert not allows(["team/*", "say"], "say_more")
    assert not allows([], "say")


def test_shipped_guests_may_not_do_what_admins_do() -> None:
    guest, admin = ROLES.get("guest"), ROLES.get("admin")
    assert guest.rights < admin.rights
    assert not guest.rights & (RIGHTS | {"switch_model", "chat", "tokens", "users"})
    assert {limit.type for limit in guest.limits} == {"request", "token"}


SAVED = FILE.format(some="description: new")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_every_change_of_the_roles_has_an_edition_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    first = roles.edition
    roles.refresh()
    assert roles.edition == first
    write(path, "rights: [nonsense]")
    roles.refresh()
    assert roles.edition == first
    write(path, "rights: [save, edit]")
    roles.refresh()
    roles.refresh()
    assert roles.edition == first + 1


async def test_a_saved_file_is_in_force_on_return(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    path.chmod(0o640)
    roles = Roles(path)
    before = await roles.notes()
    assert (before.text, before.digest, before.problem) == (path.read_text(), digest(path), None)
    text = before.text.replace("[edit]", "[save]")
    edition = roles.edition
    saved = await roles.save(text, before.digest, keeps="admin")
    assert (saved.text, saved.digest, saved.problem) == (text, digest(path), None)
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o640
    assert roles.get("some").rights == {"save"}
    assert roles.edition == edition + 1
    roles.refresh()
    assert roles.edition == edition + 1  # what we wrote ourselves is no news


async def test_saving_mends_a_broken_file(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    write(path, "rights: [nonsense]")
    roles.refresh()
    notes = await roles.notes()
    assert notes.problem is not None
    assert "nonsense" in notes.problem
    saved = await roles.save(notes.text.replace("nonsense", "publish"), notes.digest, keeps="admin")
    assert saved.problem is None
    assert roles.get("some").rights == {"publish"}


async def test_nobody_writes_over_what_they_did_not_see(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    seen = await roles.notes()
    texts = [seen.text.replace("[edit]", f"[{right}]") for right in ("save", "publish", "history_all")]
    ends = await asyncio.gather(
        *(roles.save(text, seen.digest, keeps="admin") for text in texts), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["RoleNotes", "UserError", "UserError"]
    assert all("changed meanwhile" in end.message for end in ends if isinstance(end, UserError))
    write(path, "description: by hand")
    by_hand = path.read_bytes()
    with pytest.raises(UserError, match="changed meanwhile"):
        await roles.save(texts[0], digest_of(texts[0]), keeps="admin")
    assert path.read_bytes() == by_hand


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("roles: [", "not valid YAML"),
        ("roles: {admin: {}}", "guest"),
        ("roles: {guest: {}}", "admin"),
        (SAVED + "    rights: [fly]\n", "line 12"),
        (SAVED + "  some: {}\n", "line 12: this key is given twice"),
        (SAVED + "    limits: [{type: token, interval: .nan, limit: 1}]\n", "line 12"),
        (SAVED + "other: 1\n", "not known"),
        (SAVED.replace("some", "Some Body"), "line 10"),
        (SAVED + "#\x00", "not valid YAML"),
        (SAVED + "#\ud800", "not valid YAML"),
        (SAVED + "#" * 300_000, "at most 256,000"),
        ("roles: &a {guest: {}, admin: *a}", "not allowed"),
    ],
)
async def test_a_text_that_is_no_roles_file_changes_nothing(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles, before = Roles(path), path.read_bytes()
    with pytest.raises(UserError) as caught:
        await roles.save(text, digest(path), keeps="admin")
    assert words in caught.value.message
    assert caught.value.param == "text"
    assert str(tmp_path) not in caught.value.message
    assert (path.read_bytes(), roles.edition, roles.problem) == (before, 1, None)
    assert names(tmp_path) == ["roles.yaml"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('allow_api_paths: ["*"]', "allow_api_paths: [/api/v1/infer]"),
        ('rights: ["*"]', "rights: [edit]"),
        ('allow_tabs: ["*"]', "allow_tabs: [engineer]"),
    ],
)
async def test_nobody_locks_themselves_out(tmp_path: Path, old: str, new: str) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles, before = Roles(path), path.read_text()
    with pytest.raises(UserError, match="role 'admin' must keep"):
        await roles.save(before.replace(old, new), digest(path), keeps="admin")
    with pytest.raises(UserError, match="role 'gone'"):
        await roles.save(before, digest(path), keeps="gone")
    assert path.read_text() == before


async def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles, before = Roles(path), path.read_text()
    monkeypatch.setattr("herding.yaml_files.write", full)
    with pytest.raises(UserError, match="Read-only file system"):
        await roles.save(before.replace("[edit]", "[save]"), digest(path), keeps="admin")
    assert roles.get("some").rights == {"edit"}
    assert path.read_text() == before


async def test_readers_see_one_whole_set_of_roles_while_it_changes(tmp_path: Path) -> None:
    """Each file gives `some` a right and a tab that belong together."""
    pairs = {"edit": "engineer", "save": "history"}

    def text(right: str) -> str:
        return FILE.format(some=f"rights: [{right}]\n    allow_tabs: [{pairs[right]}]")

    path = tmp_path / "roles.yaml"
    path.write_text(text("edit"))
    roles, done = Roles(path), threading.Event()
    torn: list[object] = []

    def look() -> None:
        while not done.is_set():
            who = roles.principal("x", "some")
            if who.tabs != (pairs[next(iter(who.rights))],):
                torn.append(who)

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(60):
        await roles.save(text("save" if number % 2 == 0 else "edit"), digest(path), keeps="admin")
    done.set()
    looking.join()
    assert torn == []


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()
