"""The roles file in the browser."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from herding.access.role_file import Roles
from herding.errors import AccessError
from tests.support.herding import GUEST
from tests.support.people import ROLES
from tests.ui.conftest import Desktop, opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A roles file of this test."""
    path = tmp_path / "roles.yaml"
    shutil.copy(ROLES._path, path)
    return path


@pytest.fixture
async def editing(tmp_path: Path, file: Path) -> AsyncIterator[Desktop]:
    """The page with the roles open."""
    async with opened(tmp_path, roles=Roles(file)) as desktop:
        await desktop.fire("access_roles")
        yield desktop


def said(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def elsewhere(file: Path, old: str, new: str) -> None:
    """Somebody changes the file without the page."""
    file.write_text(said(file).replace(old, new), encoding="utf-8")


def edit(desktop: Desktop, old: str, new: str) -> str:
    """Somebody types into the editor; tells its text."""
    roles = desktop.page.access.roles
    text = str(desktop.value(roles.text))
    assert old in text
    desktop.set(roles.text, text.replace(old, new))
    return text.replace(old, new)


async def test_what_is_saved_is_in_force(editing: Desktop, file: Path) -> None:
    roles = editing.page.access.roles
    text = edit(editing, "  rater:", "  critic:")
    await editing.fire("roles_save")
    assert "saved and active" in editing.value(roles.note)
    assert said(file) == text
    assert "critic" in editing.place.accounts.role_names(editing.who)
    edit(editing, "  critic:", "  rater:")
    await editing.fire("roles_save")
    assert "saved and active" in editing.value(roles.note)


async def test_a_broken_text_is_refused_and_stays(editing: Desktop, file: Path) -> None:
    roles, before = editing.page.access.roles, said(file)
    text = edit(editing, "allow_tabs: [engineer", "allow_tabs: [engine")
    await editing.fire("roles_save")
    assert "is not a tab" in editing.value(roles.note)
    assert editing.value(roles.text) == text
    assert said(file) == before


async def test_a_text_that_somebody_else_overtook_is_refused_with_what_differs(editing: Desktop, file: Path) -> None:
    roles = editing.page.access.roles
    text = edit(editing, "Tries prompts", "Mine")
    elsewhere(file, "Tries prompts", "<b>Theirs")
    await editing.fire("roles_save")
    assert "Someone else changed the roles" in editing.value(roles.note)
    assert "+    description: Mine" in editing.value(roles.note)
    assert "-    description: &lt;b&gt;Theirs" in editing.value(roles.note)
    assert editing.value(roles.text) == text
    assert "Theirs" in said(file)
    await editing.fire("access_roles")
    assert editing.value(roles.text) == text
    assert "The file has changed since it was loaded" in editing.value(roles.note)
    await editing.fire("roles_reload")
    assert "Theirs" in editing.value(roles.text)
    assert editing.value(roles.note) == ""


async def test_an_untouched_text_follows_the_file(editing: Desktop, file: Path) -> None:
    elsewhere(file, "Tries prompts", "Theirs")
    await editing.fire("access_roles")
    assert "Theirs" in editing.value(editing.page.access.roles.text)


async def test_a_broken_file_is_told_and_the_old_roles_stay(editing: Desktop, file: Path) -> None:
    roles = editing.page.access.roles
    assert editing.prop(roles.problem, "visible") is False
    elsewhere(file, said(file), "roles: [")
    await asyncio.to_thread(editing.place.accounts._roles.refresh)
    await editing.fire("access_roles")
    assert editing.prop(roles.problem, "visible") is True
    assert "The previous roles stay active" in editing.value(roles.problem)
    assert "rater" in editing.place.accounts.role_names(editing.who)


async def test_only_who_administers_reads_or_writes_roles(editing: Desktop, file: Path) -> None:
    before = said(file)
    for event in ("access_roles", "roles_reload"):
        with pytest.raises(AccessError):
            await editing.fire(event, who=GUEST)
    edit(editing, "Tries prompts", "Mine")
    await editing.fire("roles_save", who=GUEST)
    assert "Not saved" in editing.value(editing.page.access.roles.note)
    assert said(file) == before
