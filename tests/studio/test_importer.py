"""Many prompts at once: from a bundle, and from files that are new at the start."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from herding.herd.fleet import Fleet
from herding.orchestrator import Orchestrator
from herding.prompts.library import Library
from herding.store import Store
from herding.studio.studio import ImportResult, Studio
from herding.studio.sync import BATCH
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo
from tests.support.people import ROLES, principal

USER = principal("ada", "user")
MANY = 2 * BATCH + 50


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo()) as place:
        yield place


@pytest.fixture
def studio(place: Place) -> Studio:
    return place.orchestrator.studio


def prompt(text: str, **more: Any) -> str:
    return yaml.safe_dump({"name": "P", "target_models": ["echo"], "prompt": text, **more})


def packed(files: Mapping[str, str]) -> bytes:
    """A zip of files by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return buffer.getvalue()


def many(text: str) -> dict[str, str]:
    return {f"team{number % 5}/p{number}.yaml": prompt(f"{text} {number}", label="test") for number in range(MANY)}


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """Remembers each call of a method."""
    calls: list[str] = []
    method = getattr(owner, name)

    def call(*args: Any, **named: Any) -> Any:
        calls.append(name)
        return method(*args, **named)

    monkeypatch.setattr(owner, name, call)
    return calls


async def versions(place: Place, key: str) -> list[str]:
    """The texts of all versions, oldest first."""
    return [json.loads(found.content)["prompt"] for found in reversed(await place.store.versions(key, limit=100))]


def summary(found: list[ImportResult]) -> dict[str, Any]:
    return {one.key: one.error or (one.saved and one.saved.file) for one in found}


@pytest.mark.slow
async def test_the_work_for_a_bundle_grows_with_its_prompts(
    place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted(monkeypatch, Library, "_scan")
    states = counted(monkeypatch, Store, "prompt_states")
    for text, changed in (("one", True), ("one", False), ("two", True)):
        looks.clear()
        states.clear()
        found = await studio.import_bundle(packed(many(text)), ADMIN)
        assert len(found) == MANY
        assert {(one.saved.changed, one.saved.file) for one in found if one.saved} == {(changed, "written")}
        assert len(looks) <= 6
        assert len(states) <= 15
    for number in (0, MANY - 1):
        key = f"team{number % 5}/p{number}"
        assert await versions(place, key) == [f"one {number}", f"two {number}"]
        in_file = yaml.safe_load((place.prompts / f"{key}.yaml").read_text())
        assert (in_file["prompt"], in_file["label"]) == (f"two {number}", "test")


@pytest.mark.slow
async def test_new_files_share_transactions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in many("one").items():
        path = place.prompts / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    together, alone = counted(monkeypatch, Store, "save_versions"), counted(monkeypatch, Store, "save_version")
    await place.orchestrator.load()
    assert (len(together), alone) == (3, [])
    assert await versions(place, "team4/p249") == ["one 249"]
    assert await place.store.labels("team4/p249") == {"test": 1}


async def test_each_prompt_of_a_bundle_has_its_own_fate(
    place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await studio.save("edited", yaml.safe_load(prompt("one")), USER)
    save = place.library.save

    def late(key: str, *args: Any) -> Any:
        if key == "edited":
            (place.prompts / "edited.yaml").write_text(prompt("by hand"))
        return save(key, *args)

    monkeypatch.setattr(place.library, "save", late)
    files = {
        "edited.yaml": prompt("two"),
        "broken.yaml": "name: [",
        "red.yaml": prompt("x", colour="red"),
        "prod.yaml": prompt("x", label="prod"),
        "a/Good.yaml": prompt("x"),
        "a/good.yaml": prompt("x"),
    }
    found = summary(await studio.import_bundle(packed(files), USER))
    assert found["edited"] == "conflict"
    assert "not valid YAML" in found["broken"]
    assert "colour" in found["red"]
    assert "publish" in found["prod"]
    assert found["a/Good"] == "written"
    assert "differs only by case" in found["a/good"]
    assert await versions(place, "edited") == ["one", "two"]
    assert "by hand" in (place.prompts / "edited.yaml").read_text()
    (conflict,) = await studio.conflicts(USER)
    assert (conflict.key, conflict.ours, conflict.theirs) == ("edited", 2, 3)


async def test_of_one_key_twice_in_a_bundle_the_later_follows(place: Place, studio: Studio) -> None:
    found = await studio.import_bundle(packed({"p.yaml": prompt("one"), "p.yml": prompt("two")}), USER)
    assert [(one.key, one.saved and one.saved.version) for one in found] == [("p", 1), ("p", 2)]
    assert await versions(place, "p") == ["one", "two"]
    assert "two" in (place.prompts / "p.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("what", "after"), [("save", 0), ("save", BATCH + 7), ("record_files", 1)])
async def test_an_import_that_dies_is_made_up_for(
    place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch, what: str, after: int
) -> None:
    await studio.save("team0/p0", yaml.safe_load(prompt("before")), USER)
    owner: Any = place.library if what == "save" else place.store
    done, method = [], getattr(owner, what)

    def dies(*args: Any) -> Any:
        if len(done) == after:
            raise KeyError("the process ends here")
        done.append(args)
        return method(*args)

    with monkeypatch.context() as broken:
        broken.setattr(owner, what, dies)
        with pytest.raises(KeyError):
            await studio.import_bundle(packed(many("one")), USER)
    parts: Any = {"library": Library(place.prompts), "store": place.store, "authenticator": place.authenticator}
    parts |= {"fleet": Fleet(place.herd), "registry": place.orchestrator.registry}
    again = Orchestrator(**parts, roles=ROLES)
    await again.load()
    assert await again.studio.conflicts(USER) == ()
    for key, newest in [(key, state.newest) for key, state in (await place.store.prompt_states()).items()]:
        stored = await place.store.version(key, newest)
        assert stored
        assert yaml.safe_load((place.prompts / f"{key}.yaml").read_text())["name"] == json.loads(stored.content)["name"]
    found = await again.studio.import_bundle(packed(many("one")), USER)
    assert all(one.saved for one in found)
    assert await versions(place, "team0/p0") == ["before", "one 0"]
    assert await versions(place, f"team4/p{MANY - 1}") == [f"one {MANY - 1}"]


async def test_a_save_reads_the_directory_once(place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = counted(monkeypatch, Library, "_scan")
    for text in ("one", "two"):
        looks.clear()
        assert (await studio.save("new", yaml.safe_load(prompt(text)), USER)).file == "written"
        assert len(looks) == 1
    await place.orchestrator.load()
    assert await versions(place, "new") == ["one", "two"]
