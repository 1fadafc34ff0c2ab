"""Bundles: what goes in comes out, and nothing hostile gets in."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from herding.errors import UserError
from herding.prompts import bundle

GOOD = "name: Good\ntarget_models: [m]\nprompt: hello\n"
MANY = "one:\n  name: A\n  target_models: [m]\n  prompt: x\ntwo:\n  name: B\n  target_models: [m]\n  prompt: x\n"


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in entries:
            made.writestr(name, content)
    return buffer.getvalue()


def test_what_is_packed_is_unpacked() -> None:
    data = bundle.pack({"a": GOOD, "deep/b": GOOD})
    assert data == bundle.pack({"a": GOOD, "deep/b": GOOD})
    assert [(found.key, found.data["name"], found.error) for found in bundle.unpack(data)] == [
        ("a", "Good", None),
        ("deep/b", "Good", None),
    ]


def test_a_file_of_several_prompts_is_several() -> None:
    assert [found.key for found in bundle.unpack(zipped(("old.yml", MANY)))] == ["one", "two"]


def test_what_is_no_prompt_file_is_left_out_or_named() -> None:
    data = zipped(("notes.txt", "x"), ("folder/", ""), ("bad.yaml", "name: ["), ("b.yaml", b"\xff"), ("c.yaml", "- a"))
    found = bundle.unpack(data)
    assert [one.key for one in found] == ["bad", "b", "c"]
    assert all(one.error for one in found)
    (key,) = bundle.unpack(zipped(("two words.yaml", GOOD)))
    assert key.error


def test_what_belongs_to_other_programs_is_left_out() -> None:
    data = zipped(("__MACOSX/._a.yaml", b"\0\5"), (".git/x.yaml", GOOD), ("a/.b.yaml", GOOD), ("a.yaml", GOOD))
    assert [found.key for found in bundle.unpack(data)] == ["a"]


@pytest.mark.parametrize("name", ["../x.yaml", "/etc/x.yaml", "a/../../x.yaml", "a\\..\\x.yaml", "..", "C:\\x.yaml"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="outside of it"):
        bundle.unpack(zipped((name, GOOD)))


def test_a_link_is_refused() -> None:
    entry = zipfile.ZipInfo("x.yaml")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="link"):
        bundle.unpack(zipped((entry, "/etc/passwd")))


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"a" * (bundle.MAX_TOTAL + 1)
    with pytest.raises(UserError, match="bytes"):
        bundle.unpack(zipped(("x.yaml", bomb)))
    (found,) = bundle.unpack(zipped(("x.yaml", b"a" * 1_000_000)))
    assert "bytes" in (found.error or "")
    with pytest.raises(UserError, match="files"):
        bundle.unpack(zipped(*((f"{n}.yaml", "") for n in range(bundle.MAX_FILES + 1))))
    monkeypatch.setattr(bundle, "MAX_ZIP", 10)
    with pytest.raises(UserError, match="larger than 10 bytes"):
        bundle.unpack(zipped(("x.yaml", GOOD)))


def test_a_zip_that_lies_about_a_size_is_refused() -> None:
    data = bytearray(zipped(("x.yaml", b"a" * 2_000_000)))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + offset
        data[start : start + 4] = (10).to_bytes(4, "little")
    with pytest.raises(UserError, match="not a valid zip"):
        bundle.unpack(bytes(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04", zipped(("a.yaml", GOOD))[:-30]])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="not a valid zip"):
        bundle.unpack(data)
    with pytest.raises(UserError, match="the same name"):
        bundle.unpack(zipped(("a.yaml", GOOD), ("a.yaml", GOOD)))
    with pytest.raises(UserError, match="unsupported"):
        bundle.unpack(zipped(("a.yaml", GOOD), method=zipfile.ZIP_LZMA))
