"""Two pages of one user with the same prompt: neither overwrites the draft of the other unseen."""

from __future__ import annotations

import pytest

from tests.ui.conftest import Desktop
from tests.ui.engineer.pages import Form, kept, opened

CHANGED = "This draft was changed in another tab"


async def page(desktop: Desktop, *ids: str) -> Form:
    form = await opened(desktop)
    form.fields["page"] = list(ids)
    return form


async def two_pages(desktop: Desktop) -> tuple[Form, Form]:
    """Two pages; the second one typed last, and the save of the first one was refused."""
    one, two = await page(desktop, "one"), await page(desktop, "two")
    await two.edit(var__text="second")
    answer = await one.edit(var__text="first")
    assert CHANGED in answer["pieces"]["draft-state"]
    return one, two


async def stored(desktop: Desktop) -> str:
    return str((await kept(desktop)).variables["text"])


async def test_an_edit_does_not_overwrite_that_of_another_page(desktop: Desktop) -> None:
    one, two = await two_pages(desktop)
    assert CHANGED in (await one.edit(var__text="first again"))["pieces"]["draft-state"]
    assert await stored(desktop) == "second"
    assert CHANGED not in (await two.edit(var__text="second again"))["pieces"]["draft-state"]


@pytest.mark.parametrize("action", ["undo", "revert", "reset", "save", "discard", "way"])
async def test_no_button_overwrites_the_other_draft(desktop: Desktop, action: str) -> None:
    one, _ = await two_pages(desktop)
    await one.press(action)
    assert CHANGED in one
    assert one["var.text"] == "first"
    assert await stored(desktop) == "second"


async def test_the_other_draft_is_loaded_and_undo_brings_the_own_one_back(desktop: Desktop) -> None:
    one, two = await two_pages(desktop)
    one.fields["page"] = ["one"]
    await one.press("load")
    assert CHANGED not in one
    assert one["var.text"] == await stored(desktop) == "second"
    one.fields["page"] = ["one"]
    await one.press("undo")
    assert one["var.text"] == await stored(desktop) == "first"
    assert CHANGED in (await two.edit(var__text="third"))["pieces"]["draft-state"]


async def test_the_own_draft_is_kept_and_undo_brings_the_other_one_back(desktop: Desktop) -> None:
    one, two = await two_pages(desktop)
    await one.press("keep")
    assert CHANGED not in one
    assert one["var.text"] == await stored(desktop) == "first"
    assert CHANGED in (await two.edit(var__text="third"))["pieces"]["draft-state"]
    one.fields["page"] = ["one"]
    await one.press("undo")
    assert one["var.text"] == "second"


async def test_the_same_text_in_both_pages_is_no_conflict(desktop: Desktop) -> None:
    one, two = await page(desktop, "one"), await page(desktop, "two")
    for form in (two, one):
        assert CHANGED not in (await form.edit(var__text="same"))["pieces"]["draft-state"]
    assert CHANGED not in (await one.edit(var__text="more"))["pieces"]["draft-state"]


async def test_one_page_never_conflicts_with_itself(desktop: Desktop) -> None:
    form = await page(desktop, "one")
    lost = form["draft_revision"]
    for number in range(3):  # the answers are lost
        await form.edit(var__text=f"typed {number}", messages__0__content=f"a text {{{{text}}}} {number}")
        form["draft_revision"] = lost
    for action in ("undo", "redo", "reset", "way", "revert", "save", "discard"):
        form.fields["page"] = ["one"]
        await form.press(action)
        form.fields["page"] = ["one"]
        assert CHANGED not in form
        answer = await form.edit(var__text=f"after {action}")
        assert CHANGED not in answer["pieces"]["draft-state"]
        assert await stored(desktop) == f"after {action}"


async def test_the_last_save_of_the_page_before_a_reload_is_no_conflict(desktop: Desktop) -> None:
    before, after = await page(desktop, "old"), await page(desktop, "new", "old")
    await before.edit(var__text="sent while the page was left")
    answer = await after.edit(var__text="typed after the reload")
    assert CHANGED not in answer["pieces"]["draft-state"]
    after.fields["page"] = ["new", "old"]
    await after.press("undo")
    assert after["var.text"] == "sent while the page was left"
