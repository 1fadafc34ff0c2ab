"""The key that tokens and sessions hang on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from herding.access.keys import derive_key, signing_key
from herding.errors import ConfigError


def test_the_key_is_made_once_and_only_we_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    key = signing_key(home)
    assert len(key) == 32
    assert signing_key(home) == key == (home / "secret.key").read_bytes()
    assert (home / "secret.key").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert signing_key(tmp_path / "other") != key


def test_a_secret_gives_the_same_key_everywhere_and_leaves_no_file(tmp_path: Path) -> None:
    secret = "of several instances, long enough"
    assert signing_key(tmp_path / "a", secret) == signing_key(tmp_path / "b", secret)
    assert signing_key(tmp_path / "a", secret + "!") != signing_key(tmp_path / "a", secret)
    assert secret.encode() not in signing_key(tmp_path / "a", secret)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_no_part_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left"):
            signing_key(tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(signing_key(tmp_path)) == 32


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31])
def test_half_a_key_is_a_start_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"secret\.key: the key is too short"):
        signing_key(tmp_path)
    assert (tmp_path / "secret.key").read_bytes() == content


def test_a_place_that_keeps_no_key_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be stored"):
        signing_key(tmp_path / "file")
    (tmp_path / "secret.key").mkdir()
    with pytest.raises(ConfigError, match="cannot be stored"):
        signing_key(tmp_path)


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {derive_key(key, purpose) for key in (b"a" * 32, b"b" * 32) for purpose in ("tokens", "sessions")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert derive_key(b"a" * 32, "tokens") == derive_key(b"a" * 32, "tokens")
