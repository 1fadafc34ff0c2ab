"""Settings come from the environment, and from nowhere else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from herding.settings import Settings, is_loopback, on_space, secret

NAMES = ("HOME", "HOST", "PORT", "PROMPTS", "NODES", "ADMIN_TOKEN", "NODE_SECRET", "TRUSTED_HOSTS", "LOG_LEVEL")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*(f"HERDING_{name}" for name in NAMES), "DATABASE_URL", "HERDING_DATABASE_URL", "SPACE_ID", "SYSTEM"):
        monkeypatch.delenv(name, raising=False)


def test_with_nothing_set_only_this_machine_reaches_the_app() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.local_only) == ("127.0.0.1", 7860, True)
    assert settings.database_url == f"sqlite:///{quote(str(settings.home.absolute()))}/herding.sqlite"
    assert (settings.prompts / "greeting.yaml").exists()
    assert settings.nodes.exists()
    assert "*" not in settings.host_names


@pytest.mark.parametrize("name", ["SPACE_ID", "SYSTEM"])
def test_on_a_space_everybody_reaches_the_app(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "spaces")
    assert on_space()
    assert (Settings().host, Settings().local_only) == ("0.0.0.0", False)
    monkeypatch.setenv("HERDING_HOST", "127.0.0.1")
    assert Settings().local_only is False


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_which_addresses_are_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HERDING_HOME", str(tmp_path))
    monkeypatch.setenv("HERDING_PORT", "80")
    monkeypatch.setenv("HERDING_ADMIN_TOKEN", "canary")
    monkeypatch.setenv("HERDING_TRUSTED_HOSTS", '["a.example"]')
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/x")
    settings = Settings()
    assert (settings.home, settings.port, settings.host_names) == (tmp_path, 80, ["a.example"])
    assert settings.database_url == "postgresql://db/x"
    assert "canary" not in repr(settings)
    assert settings.admin_token is not None
    assert settings.admin_token.get_secret_value() == "canary"


def test_a_blank_setting_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HERDING_PORT", "HERDING_ADMIN_TOKEN", "DATABASE_URL", "HERDING_HOST"):
        monkeypatch.setenv(name, "")
    settings = Settings()
    assert (settings.port, settings.admin_token, settings.local_only) == (7860, None, True)


@pytest.mark.parametrize("port", ["none", "-1", "65536"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("HERDING_PORT", port)
    with pytest.raises(ValidationError):
        Settings()


def test_a_secret_that_is_blank_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " \n")
    assert secret("MY_KEY") is None
    monkeypatch.setenv("MY_KEY", " canary\n")
    assert secret("MY_KEY") == "canary"
    monkeypatch.delenv("MY_KEY")
    assert secret("MY_KEY") is None
