"""`herding collections`, and the directory whose folders are collections."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from herding.cli import main
from herding.knowledge.folder import DocumentFolder
from herding.store import now_ms
from tests.knowledge.conftest import index_all
from tests.support.herding import ADMIN, Place


def test_the_command_fills_and_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HERDING_HOME", str(tmp_path / "home"))
    (tmp_path / "files" / "sea").mkdir(parents=True)
    (tmp_path / "files" / "bread.md").write_text("# Bread\n\nBread is baked.")
    (tmp_path / "files" / "sea" / "boat.py").write_text("def tack(): ...")
    (tmp_path / "files" / "tool.exe").write_bytes(b"MZ")
    (tmp_path / "files" / ".hidden.md").write_text("no")
    with (tmp_path / "files" / "huge.txt").open("wb") as huge:
        huge.truncate(50_000_000_000)
    (tmp_path / "files" / "two\nlines.txt").write_text("x")
    assert main(["collections", "add", "docs", str(tmp_path / "files")]) == 0
    printed = capsys.readouterr()
    assert "files/huge.txt: left out, 50,000,000,000 bytes" in printed.err
    assert "printable characters" in printed.err
    assert printed.out.startswith("2 documents added, ")
    assert "files/tool.exe: left out" in printed.err
    assert main(["collections", "add", "docs", str(tmp_path / "files" / "bread.md")]) == 0
    assert "1 unchanged" in capsys.readouterr().out
    assert main(["collections", "documents", "docs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["files/bread.md", "waiting"], ["files/sea/boat.py", "waiting"]]
    assert main(["collections", "delete", "docs", "--document", "files/bread.md"]) == 0
    assert main(["collections", "list"]) == 0
    assert "docs  1 document, 1 waiting" in capsys.readouterr().out
    assert main(["collections", "delete", "docs"]) == 0
    assert main(["collections", "delete", "docs"]) == 1
    assert main(["collections", "add", "docs", str(tmp_path / "nowhere")]) == 1


async def test_files_beside_the_folders_are_told(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "documents"
    (root / "docs").mkdir(parents=True)
    (root / "bread.txt").write_text("Bread is baked.")
    folder = DocumentFolder(root, store=place.store, clock=now_ms)
    for _ in range(2):
        await folder.refresh()
    assert [record.message for record in caplog.records] == [
        f"file left out ({root / 'bread.txt'}): move it into a folder, which becomes a collection"
    ]


async def test_a_directory_is_kept_equal(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "documents"
    (root / "docs" / "sea").mkdir(parents=True)
    (root / "docs" / "bread.txt").write_text("Bread is baked.")
    (root / "docs" / "sea" / "boat.txt").write_text("A boat tacks.")
    (root / "docs" / "link.txt").symlink_to("/etc/hostname")
    (root / "docs" / "tool.exe").write_bytes(b"MZ")
    folder = DocumentFolder(root, store=place.store, clock=now_ms)
    collections = place.orchestrator.collections

    async def keys() -> list[str]:
        await folder.refresh()
        await index_all(place.orchestrator)
        return [document.key for document in await collections.documents("docs", ADMIN)]

    assert await keys() == ["bread.txt", "sea/boat.txt"]
    (root / "docs" / "bread.txt").write_text("Rye rises.")
    os.utime(root / "docs" / "bread.txt", (1, 1))
    assert await keys() == ["bread.txt", "sea/boat.txt"]
    texts = [chunk.text for _, chunk in await collections.chunks("docs", "bread.txt", ADMIN)]
    assert texts == ["Rye rises."]
    (root / "docs" / "sea" / "boat.txt").unlink()
    assert await keys() == ["bread.txt"]


async def test_what_cannot_be_read_is_told_and_keeps_nothing_else_away(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "documents"
    long = root / "a" / ("d" * 200) / ("e" * 200) / ("f" * 200) / "x.txt"
    for file in (long, root / "a" / "good.txt", root / "b" / "good.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"The text of {file.name} in {file.parent.name}.")
    with (root / "a" / "huge.txt").open("wb") as huge:
        huge.truncate(50_000_000_000)
    folder = DocumentFolder(root, store=place.store, clock=now_ms)

    async def keys(name: str) -> list[str]:
        return [document.key for document in await place.orchestrator.collections.documents(name, ADMIN)]

    await folder.refresh()
    assert (await keys("a"), await keys("b")) == (["good.txt"], ["good.txt"])
    assert "1 to 500 printable" in caplog.text
    assert "50,000,000,000 bytes" in caplog.text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "herding.knowledge.folder.os.walk", lambda path, onerror: onerror(PermissionError(13, "No", path))
        )
        await folder.refresh()
    assert await keys("b") == ["good.txt"], "a folder that can't be read is not empty"
    assert f"documents not read ({root / 'b'})" in caplog.text
