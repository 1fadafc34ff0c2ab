"""The roles file in the browser."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from herding.access.role_file import Roles
from herding.errors import AccessError
from tests.support.herding import GUEST
from tests.support.people import ROLES
from tests.ui.conftest import Desktop, Piece, opened
from tests.ui.engineer.pages import FieldReader


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A roles file of this test."""
    path = tmp_path / "roles.yaml"
    shutil.copy(ROLES._path, path)
    return path


@pytest.fixture
async def editing(tmp_path: Path, file: Path) -> AsyncIterator[Desktop]:
    """The page of an admin."""
    async with opened(tmp_path, roles=Roles(file)) as desktop:
        yield desktop


def said(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def elsewhere(file: Path, old: str, new: str) -> None:
    """Somebody changes the file without the page."""
    file.write_text(said(file).replace(old, new), encoding="utf-8")


def fields(piece: Piece, before: dict[str, str] | None = None) -> dict[str, str]:
    """The fields on the page, the text with the line ends of a browser."""
    reader = FieldReader()
    reader.feed(piece.html)
    found = {**(before or {}), **dict(reader.fields)}
    return {**found, "text": found["text"].replace("\r\n", "\n").replace("\n", "\r\n")}


async def loaded(desktop: Desktop) -> dict[str, str]:
    return fields(await desktop.get("access/sections/roles"))


def edit(form: dict[str, str], old: str, new: str) -> dict[str, str]:
    """Somebody types into the editor."""
    assert old in form["text"]
    return {**form, "text": form["text"].replace(old, new)}


async def test_what_is_saved_is_in_force(editing: Desktop, file: Path) -> None:
    form = edit(await loaded(editing), "  rater:", "  critic:")
    saved = await editing.post("access/roles", **form)
    assert "saved and active" in saved
    assert said(file) == form["text"].replace("\r\n", "\n")
    assert "critic" in editing.place.accounts.role_names(editing.who)
    again = await editing.post("access/roles", **edit(fields(saved, form), "  critic:", "  rater:"))
    assert "saved and active" in again


async def test_a_broken_text_is_refused_and_stays(editing: Desktop, file: Path) -> None:
    before = said(file)
    refused = await editing.post(
        "access/roles", **edit(await loaded(editing), "allow_tabs: [engineer", "allow_tabs: [engine")
    )
    assert "is not a tab" in refused
    assert re.search(r"line \d+", refused.html)  # the editor marks it
    assert 'data-errors="#roles-note"' in (await editing.get("access/sections/roles"))
    assert "textarea" not in refused  # the text on the page stays
    assert said(file) == before


async def test_a_text_that_somebody_else_overtook_is_refused_with_what_differs(editing: Desktop, file: Path) -> None:
    form = edit(await loaded(editing), "Tries prompts", "Mine")
    elsewhere(file, "Tries prompts", "<b>Theirs")
    refused = await editing.post("access/roles", **form)
    assert "Someone else changed the roles" in refused
    assert "+    description: Mine" in refused
    assert "-    description: &lt;b&gt;Theirs" in refused
    assert "Theirs" in said(file)
    opened_again = await editing.post("access/roles/check", **form)
    assert fields(opened_again) == form
    assert "The file has changed since it was loaded" in opened_again
    assert "Someone else changed the roles" in await editing.post("access/roles", **fields(opened_again))
    reloaded = await editing.get("access/sections/roles")
    assert "Theirs" in fields(reloaded)["text"]
    assert "Someone else" not in reloaded


async def test_an_untouched_text_follows_the_file(editing: Desktop, file: Path) -> None:
    form = await loaded(editing)
    elsewhere(file, "Tries prompts", "Theirs")
    assert "Theirs" in fields(await editing.post("access/roles/check", **form))["text"]


async def test_a_broken_file_is_told_and_the_old_roles_stay(editing: Desktop, file: Path) -> None:
    assert "The previous roles stay active" not in await editing.get("access", section="roles")
    elsewhere(file, said(file), "roles: [")
    await asyncio.to_thread(editing.place.accounts._roles.refresh)
    assert "The previous roles stay active" in await editing.get("access", section="roles")
    assert "rater" in editing.place.accounts.role_names(editing.who)


async def test_patterns_without_effect_are_told(editing: Desktop, file: Path) -> None:
    elsewhere(file, 'allow_prompts: ["*"]', "allow_prompts: [nothing_like_it]")
    await asyncio.to_thread(editing.place.accounts._roles.refresh)
    shown = unescape((await editing.get("access/sections/roles")).html)
    assert re.search("Patterns without effect.*nothing_like_it", shown)


async def test_only_admins_read_or_write_roles(editing: Desktop, file: Path) -> None:
    before, form = said(file), await loaded(editing)
    with pytest.raises(AccessError):
        await editing.get("access/sections/roles", who=GUEST)
    for path in ("access/roles", "access/roles/check"):
        with pytest.raises(AccessError):
            await editing.post(path, who=GUEST, **edit(form, "Tries prompts", "Mine"))
    assert said(file) == before
