"""Settings come from the environment, and from nowhere else."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from herding.errors import ConfigError
from herding.settings import Settings, copy_shipped_prompts, is_loopback, on_space, read_settings, secret

NAMES = tuple(Settings.model_fields)


SPACE = ("SPACE_ID", "SYSTEM")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*(f"HERDING_{name.upper()}" for name in NAMES), "DATABASE_URL", "HERDING_DATABASE_URL", *SPACE):
        monkeypatch.delenv(name, raising=False)


def test_with_nothing_set_only_this_machine_reaches_the_app() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.local_only) == ("127.0.0.1", 7860, True)
    assert settings.database_url == f"sqlite:///{quote(str(settings.home.absolute()))}/herding.sqlite"
    assert (settings.prompts / "greeting.yaml").exists()
    assert settings.nodes.exists()
    assert "*" not in settings.host_names


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The shipped files of a package that is installed, and not run from a checkout."""
    shipped = tmp_path / "site-packages" / "herding" / "_defaults"
    for name in ("config/nodes.yaml", "config/roles.yaml", "prompts/greeting.yaml", "prompts/more/other.yaml"):
        (shipped / name).parent.mkdir(parents=True, exist_ok=True)
        (shipped / name).write_text(f"# {name}")
    monkeypatch.setattr("herding.settings.INSTALLED_FILES", shipped)
    return shipped


def test_an_installed_package_has_its_own_config_and_a_writable_copy_of_its_prompts(
    installed: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home")
    assert (settings.nodes, settings.roles) == (installed / "config/nodes.yaml", installed / "config/roles.yaml")
    assert settings.prompts == tmp_path / "home" / "prompts"
    (installed / "prompts" / ".herding-id").touch()
    copy_shipped_prompts(settings)
    assert not (settings.prompts / ".herding-id").exists()
    assert (settings.prompts / "more" / "other.yaml").read_text() == "# prompts/more/other.yaml"
    assert os.access(settings.prompts, os.W_OK)
    assert [path.name for path in settings.home.iterdir()] == ["prompts"]
    (settings.prompts / "greeting.yaml").unlink()
    copy_shipped_prompts(settings)
    assert not (settings.prompts / "greeting.yaml").exists()


def test_prompts_of_the_operator_are_left_alone(installed: Path, tmp_path: Path) -> None:
    copy_shipped_prompts(Settings(home=tmp_path / "home", prompts=tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


@pytest.mark.usefixtures("installed")
def test_prompts_that_cannot_be_copied_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(ConfigError, match=r"HERDING_HOME.*can't be copied.*No space left"):
        copy_shipped_prompts(Settings(home=tmp_path / "home"))
    assert not list((tmp_path / "home").iterdir())


def test_a_checkout_copies_nothing(tmp_path: Path) -> None:
    copy_shipped_prompts(Settings(home=tmp_path / "home"))
    assert not (tmp_path / "home").exists()


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
    monkeypatch.setenv("HERDING_ADMIN_TOKEN", "canary of a token")
    monkeypatch.setenv("HERDING_TRUSTED_HOSTS", '["a.example"]')
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/x")
    settings = Settings()
    assert (settings.home, settings.port, settings.host_names) == (tmp_path, 80, ["a.example"])
    assert settings.database_url == "postgresql://db/x"
    assert "canary" not in repr(settings)
    assert settings.admin_token is not None
    assert settings.admin_token.get_secret_value() == "canary of a token"


def test_a_blank_setting_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HERDING_PORT", "HERDING_ADMIN_TOKEN", "DATABASE_URL", "HERDING_HOST"):
        monkeypatch.setenv(name, "")
    settings = Settings()
    assert (settings.port, settings.admin_token, settings.local_only) == (7860, None, True)


# Secrets that are set, and set badly

SECRETS = ("HERDING_ADMIN_TOKEN", "HERDING_NODE_SECRET", "HERDING_SECRET_KEY")
GOOD = "Xq3-81kfn2_vv9ZZ0a4c5e6f7g8h9i0j"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
def test_a_blank_secret_is_none(monkeypatch: pytest.MonkeyPatch, name: str, blank: str) -> None:
    monkeypatch.setenv(name, blank)
    settings = read_settings()
    assert (settings.admin_token, settings.node_secret, settings.secret_key) == (None, None, None)


@pytest.mark.parametrize("name", SECRETS)
def test_a_good_secret_is_taken_without_the_space_around_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f" {GOOD}\n")
    found = getattr(read_settings(), name.removeprefix("HERDING_").lower())
    assert found.get_secret_value() == GOOD
    assert GOOD not in repr(read_settings())


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "weak",
    [
        "changeme",
        "ChangeMe",
        " changeme ",
        "password",
        "12345678",
        "not-needed",
        "canary7",
        "abcabcabcabcabcabcabcabcabcabcabcabcabc",
        "0" * 64,
        "a secret\x00with NUL, and long enough",
        "a secret\nof two lines, and long enough",
        "gehéimnis, that is long enough by far",
    ],
)
def test_a_secret_that_is_easy_to_guess_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, weak: str
) -> None:
    if "\x00" in weak:  # no environment carries it
        monkeypatch.setattr("os.environ", {**os.environ, name: weak})
    else:
        monkeypatch.setenv(name, weak)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    assert caught.value.key == name
    assert weak.strip() not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_key_of_all_secrets_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERDING_SECRET_KEY", GOOD[:31])
    with pytest.raises(ConfigError, match="at least 32"):
        read_settings()
    monkeypatch.setenv("HERDING_SECRET_KEY", GOOD)
    assert len(GOOD) == 32
    assert read_settings().secret_key is not None


# Who is trusted


def test_only_at_this_machine_without_a_token_are_all_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().trusts_all
    for name, value in (
        ("HERDING_HOST", "0.0.0.0"),
        ("HERDING_HOST", "192.168.1.5"),
        ("HERDING_ADMIN_TOKEN", GOOD),
        ("SPACE_ID", "me/space"),
        ("HERDING_TRUSTED_PROXIES", "1"),  # through which others reach us
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not Settings().trusts_all, name
    monkeypatch.setenv("HERDING_ADMIN_TOKEN", "  ")
    assert Settings().trusts_all


def test_proxies_are_believed_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().trusted_proxies == 0
    with monkeypatch.context() as patch:
        patch.setenv("SPACE_ID", "me/space")
        assert Settings().trusted_proxies == 1
        patch.setenv("HERDING_TRUSTED_PROXIES", "2")
        assert Settings().trusted_proxies == 2
    for wrong in ("-1", "11", "all"):
        monkeypatch.setenv("HERDING_TRUSTED_PROXIES", wrong)
        with pytest.raises(ConfigError) as caught:
            read_settings()
        assert caught.value.key == "HERDING_TRUSTED_PROXIES"


def test_who_may_show_the_app_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().frame_ancestors == ["https://huggingface.co"]
    with monkeypatch.context() as patch:
        patch.setenv("SPACE_ID", "me/space")
        assert Settings().frame_ancestors == ["*"]
    good = ["https://a.example", "http://localhost:3000", "https://*.example.com", "*"]
    monkeypatch.setenv("HERDING_FRAME_ANCESTORS", json.dumps(good))
    assert read_settings().frame_ancestors == good
    monkeypatch.setenv("HERDING_FRAME_ANCESTORS", "[]")
    assert read_settings().frame_ancestors == []


@pytest.mark.parametrize(
    "wrong",
    [
        "https://a.example",
        '["a.example"]',
        '["https://a.example; script-src *"]',
        '["https://a.example/"]',
        '["javascript:x"]',
        '["https://a b"]',
        '["https://a.example\\n"]',
        "[\"'none'\"]",
        "[1]",
        "{}",
    ],
)
def test_what_is_no_origin_gets_into_no_header(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("HERDING_FRAME_ANCESTORS", wrong)
    with pytest.raises(ConfigError, match=r"FRAME_ANCESTORS|frame_ancestors"):
        read_settings()


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


def test_hosts_that_added_nodes_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().allowed_hosts == []
    hosts = ["gpu.lan", "10.0.0.5:8000", "http://gpu.lan:8000", "[fd00::5]:8000"]
    monkeypatch.setenv("HERDING_ALLOWED_HOSTS", json.dumps(hosts))
    assert Settings().allowed_hosts == hosts


@pytest.mark.parametrize("entry", ["*", "10.0.0.0/8", "http://a@b", "gpu.lan/v1", "a b", ""])
def test_a_host_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("HERDING_ALLOWED_HOSTS", json.dumps([entry]))
    with pytest.raises(ConfigError, match="is not a host") as caught:
        read_settings()
    assert caught.value.key == "HERDING_ALLOWED_HOSTS"


def test_origins_of_browsers_are_whole_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    good = ["https://App.example.com", "http://localhost:3000", "http://[::1]:3000", "chrome-extension://abc", "*"]
    monkeypatch.setenv("HERDING_CORS_ORIGINS", json.dumps(good))
    assert read_settings().cors_origins == [origin.lower() for origin in good]
    for wrong in ("example.com", "https://example.com/", "https://*.example.com", "null", "https://a b"):
        monkeypatch.setenv("HERDING_CORS_ORIGINS", json.dumps([wrong]))
        with pytest.raises(ConfigError, match="CORS_ORIGINS"):
            read_settings()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [("HERDING_PORT", "abc", "enter a whole number"), ("HERDING_GRACE_SECONDS", "soon", "enter a number")],
)
def test_a_text_for_a_number_says_what_to_enter(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_settings()
    assert caught.value.key == variable
