"""A start that cannot succeed: one sentence with the variable, exit status 2, and nothing created or printed."""

from __future__ import annotations

import errno
import gc
import io
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from herding.api.sockets import bind, url_of
from herding.main import LineFormatter, _print_first_token, _tune_interpreter, main
from herding.people.accounts import Accounts
from herding.settings import Settings, read_settings, secret
from tests.support.herding import herding
from tests.support.nodes import echo

Start = Callable[[], str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("HERDING_", "SPACE_")) or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HERDING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HERDING_PORT", "0")
    (tmp_path / "a file").touch()
    return tmp_path / "home"


@pytest.fixture
def refused(
    home: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Start]:
    """What the log says about a start that is refused."""

    def start() -> str:
        before = sorted(tmp_path.rglob("*"))
        with caplog.at_level(logging.INFO):
            assert main() == 2
        assert sorted(tmp_path.rglob("*")) == before
        assert capsys.readouterr() == ("", "")
        (record,) = caplog.records
        assert record.exc_info is None
        assert "\n" not in record.message
        return record.message

    level = logging.getLogger().level
    yield start
    logging.getLogger().setLevel(level)


WRONG = [
    ("HERDING_HOME", "{tmp}/a file", "is a file"),
    ("HERDING_HOME", "{tmp}/a file/below", "is a file"),
    ("HERDING_HOME", "/proc/nothing/here", "can't be created"),
    ("HERDING_PROMPTS", "{tmp}/nowhere", "does not exist"),
    ("HERDING_PROMPTS", "{tmp}/a file", "is not a directory"),
    ("HERDING_NODES", "{tmp}/nowhere.yaml", "does not exist"),
    ("HERDING_NODES", "{tmp}", "is a directory"),
    ("HERDING_ROLES", "{tmp}/nowhere.yaml", "does not exist"),
    ("HERDING_HOST", "no such host.example", "is not an address of this machine"),
    ("HERDING_HOST", "192.0.2.1", "is not an address of this machine"),
    ("HERDING_HOST", "a\rb", "control character"),
    ("HERDING_PORT", "7860x", "enter a whole number"),
    ("HERDING_PORT", "7860.5", "enter a whole number"),
    ("HERDING_PORT", "70000", "65535"),
    ("HERDING_TRUSTED_PROXIES", "one", "enter a whole number"),
    ("HERDING_TRUSTED_HOSTS", "a.example", "JSON list"),
    ("HERDING_TRUSTED_HOSTS", '{"a": 1}', "list"),
    ("HERDING_TRUSTED_HOSTS", '["a*b.example"]', "is not a host name"),
    ("HERDING_TRUSTED_HOSTS", '["https://a.example"]', "is not a host name"),
    ("HERDING_TRUSTED_HOSTS", '["a.example:80"]', "is not a host name"),
    ("HERDING_ALLOWED_HOSTS", "gpu.lan", "JSON list"),
    ("HERDING_FRAME_ANCESTORS", '["a.example"]', "is not an origin"),
    ("HERDING_LOG_LEVEL", "LOUD", "DEBUG"),
    ("HERDING_CORS_ORIGINS", "https://a.example", "JSON list"),
    ("HERDING_MAX_BODY", "8MB", "enter a whole number"),
    ("HERDING_MAX_GUEST_BODY", "-1", "1000"),
    ("HERDING_MAX_CONNECTIONS_PER_ADDRESS", "many", "enter a whole number"),
    ("HERDING_GRACE_SECONDS", "nan", "600"),
    ("HERDING_GRACE_SECONDS", "soon", "number"),
    ("HERDING_ROOT_PATH", "//evil.example", "HERDING_ROOT_PATH"),
    ("HERDING_ADMIN_TOKEN", "short", "too easy to guess"),
    ("HERDING_SECRET_KEY", "0123456789abcdef", "at least 32"),
    ("HERDING_NODE_SECRET", "päßwörter und mehr", "ASCII"),
    ("DATABASE_URL", "mysql://host/db", "sqlite:///path/to/file"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong[0]} {wrong[2]}")
def test_a_wrong_value_is_refused_before_anything_is_made(
    refused: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: tuple[str, str, str]
) -> None:
    name, value, words = wrong
    monkeypatch.setenv(name, value.replace("{tmp}", str(tmp_path)))
    said = refused()
    assert f"key '{name}'" in said
    assert words in said


def test_a_file_in_the_place_of_the_cache_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "nodes.yaml").write_text("nodes: [{kind: echo, name: echo, models: [echo]}]")
    monkeypatch.setenv("HERDING_NODES", str(tmp_path / "nodes.yaml"))
    home.mkdir()
    (home / "cache").touch()
    assert main() == 2
    assert f"'{home / 'cache'}' can't be created" in caplog.records[-1].message


def test_a_port_in_use_is_refused(refused: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("HERDING_PORT", str(other.getsockname()[1]))
        assert "key 'HERDING_PORT': Port" in refused()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_an_address_of_this_machine_is_bound(host: str) -> None:
    sockets = bind(host, 0)
    assert len({bound.getsockname()[1] for bound in sockets}) == 1
    for bound in sockets:
        bound.close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("[fe80::1]", "http://[fe80::1]:80"),
    ],
)
def test_the_address_that_is_logged_can_be_opened(host: str, url: str) -> None:
    assert url_of(host, 80) == url


@pytest.mark.parametrize("form", ["{}\r", "{}\r\n", " {} ", "\ufeff{}", '"{}"', "'{}'\r", '\t" {} "\n'])
def test_what_files_leave_around_a_value_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / "prompts").mkdir()
    for name in ("nodes", "roles", "discord"):
        (tmp_path / name).touch()
    given = {
        "HERDING_HOME": str(home),
        "HERDING_HOST": "127.0.0.1",
        "HERDING_PORT": "7931",
        "HERDING_PROMPTS": str(tmp_path / "prompts"),
        "HERDING_NODES": str(tmp_path / "nodes"),
        "HERDING_ROLES": str(tmp_path / "roles"),
        "HERDING_ADMIN_TOKEN": "Xq3-81kfn2_vv9ZZ",
        "HERDING_SECRET_KEY": "Xq3-81kfn2_vv9ZZ0a4c5e6f7g8h9i0j",
        "HERDING_NODE_SECRET": "Xq3-81kfn2_vv9ZZ",
        "HERDING_TRUSTED_PROXIES": "1",
        "HERDING_TRUSTED_HOSTS": '["a.example"]',
        "HERDING_ALLOWED_HOSTS": '["gpu.lan:8000"]',
        "HERDING_FRAME_ANCESTORS": '["https://a.example"]',
        "HERDING_LOG_LEVEL": "warning",
        "HERDING_ROOT_PATH": "/herding",
        "HERDING_CORS_ORIGINS": '["https://a.example"]',
        "HERDING_MAX_CONNECTIONS_PER_ADDRESS": "99",
        "HERDING_MAX_BODY": "20000",
        "HERDING_MAX_GUEST_BODY": "2000",
        "HERDING_GRACE_SECONDS": "1.5",
        "HERDING_DOCUMENTS": str(tmp_path / "prompts"),
        "HERDING_VECTOR_STORE": "numpy",
        "HERDING_PLUGINS_OFF": '["extra"]',
        "HERDING_DISCORD": str(tmp_path / "discord"),
        "HERDING_DISCORD_API": "http://127.0.0.1:1/api",
        "HERDING_DISCORD_BOT_TOKEN": "Xq3-81kfn2_vv9ZZ",
        "HERDING_SERVER": "http://127.0.0.1:7862",
        "HERDING_TOKEN": "Xq3-81kfn2_vv9ZZ",
        "DATABASE_URL": "postgresql://db/x",
    }
    assert {name.removeprefix("HERDING_").lower() for name in given} >= Settings.model_fields.keys() - {"database"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    plain = read_settings()
    for name, value in given.items():
        monkeypatch.setenv(name, form.format(value))
    assert read_settings() == plain
    assert plain.home == home
    monkeypatch.setenv("SOME_KEY", form.format("sk-123"))
    assert secret("SOME_KEY") == "sk-123"


def test_a_variable_that_is_no_setting_is_named(
    refused: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HERDING_PROMTS", "/x")
    monkeypatch.setenv("HERDING_WEATHER_KEY", "x")
    monkeypatch.setenv("DATABASE_URL", "x://y")
    assert main() == 2
    assert "HERDING_PROMTS" in caplog.records[0].message
    assert "HERDING_PROMPTS" in caplog.records[0].message
    assert "WEATHER" not in caplog.text


async def test_a_first_token_that_cannot_be_printed_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    class NewAccounts:
        async def first_token(self) -> str:
            return "hl_secret"

    monkeypatch.setattr(sys, "stdout", Full())
    await _print_first_token(cast(Accounts, NewAccounts()))
    assert "(No space left on device). Make another one with: herding token create --user admin" in caplog.text
    assert "hl_secret" not in caplog.text


@pytest.mark.slow
def test_a_database_that_does_not_answer_does_not_hinder_the_end(tmp_path: Path) -> None:
    program = """if True:
        import asyncio, sys, time
        from herding import main

        async def ends(*_):
            pass

        async def hangs(_):
            await asyncio.to_thread(time.sleep, 3600)

        main.Server.serve, main.Store.close, main.END_SECONDS = ends, hangs, 1
        sys.exit(main.main())
    """
    (tmp_path / "nodes.yaml").write_text("nodes: [{kind: echo, name: echo, models: [echo]}]")
    environment = {**os.environ, "HERDING_NODES": str(tmp_path / "nodes.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "end without closing the database (1 s): it does not answer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_closed_standard_streams_are_replaced(tmp_path: Path) -> None:
    program = (
        "import os, sys; from herding.main import _open_standard_streams; _open_standard_streams(); print(1)\n"
        "print(2, file=sys.stderr); file = open(sys.argv[1], 'w'); print(file.fileno() > 2, file=file)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "said")]
    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=True)
    assert (tmp_path / "said").read_text() == "True\n"


def test_garbage_is_collected_once_the_app_has_started() -> None:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.disable()  # as the entries do while they import
    try:
        _tune_interpreter()
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)


def test_a_record_is_one_line_whatever_stands_in_it() -> None:
    record = logging.LogRecord("herding", logging.INFO, "", 0, "load %s", ("a\nERROR\x1b[2J\u202e ünï",), None)
    assert LineFormatter("%(name)s: %(message)s").format(record) == r"herding: load a\nERROR\x1b[2J\u202e ünï"
    record.exc_text = "Traceback\n  its lines"
    assert LineFormatter("%(message)s").format(record).endswith("\nTraceback\n  its lines")


async def test_a_start_deletes_what_a_killed_app_left_of_prompts(tmp_path: Path) -> None:
    left = tmp_path / "prompts" / "shop" / ".greeting.yaml.abcd_123.new"
    left.parent.mkdir(parents=True)
    left.write_text("name: Gre")
    async with herding(tmp_path, echo()):
        assert not left.exists()
