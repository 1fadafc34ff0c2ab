"""All settings in one typed class. No other module reads the environment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from herding.errors import ConfigError
from herding.values.origins import clean_origin

PACKAGE = Path(__file__).resolve().parent
INSTALLED_FILES = PACKAGE / "_defaults"
"""The place of the shipped files in an installed package; it does not exist in a checkout."""


def shipped_files() -> Path:
    """Return the directory that holds the shipped `config` and `prompts`: in the package, or the checkout."""
    return INSTALLED_FILES if INSTALLED_FILES.is_dir() else PACKAGE.parent


def on_space() -> bool:
    """Return whether this process runs as a Hugging Face Space."""
    return "SPACE_ID" in os.environ or os.environ.get("SYSTEM") == "spaces"


_QUOTES = ("'", '"')
_AROUND = " \t\r\n\v\f\ufeff\u200b\xa0"
"""Characters that editors, Windows and files of environment variables leave around a value."""


def clean_value(text: str) -> str:
    """Return the value of an environment variable without space, line ends, marks and one pair of quotes around it."""
    text = text.strip(_AROUND)
    if len(text) > 1 and text[0] in _QUOTES and text[0] == text[-1]:  # `docker run --env-file` keeps quotes
        text = text[1:-1].strip(_AROUND)
    return text


def secret(name: str) -> str | None:
    """Return the value of the environment variable `name`, or None if it is unset or blank."""
    return clean_value(os.environ.get(name, "")) or None


def network_environment() -> dict[str, str]:
    """Return the variables of outbound proxies and certificate authorities, in either case of letters."""
    names = (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
    )
    return {name: value for name, value in os.environ.items() if name.upper() in names}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _default_home() -> Path:
    here = Path("data")
    writable = os.access(here if here.exists() else here.absolute().parent, os.W_OK)
    return here if writable else Path.home() / ".local" / "share" / "herding"


def _default_prompts(data: dict[str, Any]) -> Path:
    """Return the prompts of the checkout or, in an installed package, a writable directory in the home."""
    home: Path = data.get("home") or _default_home()
    return home / "prompts" if INSTALLED_FILES.is_dir() else shipped_files() / "prompts"


_ANCESTOR = re.compile(r"\*|https?://[A-Za-z0-9.*-]+(:[0-9]{1,5})?")
_HOST_NAME = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+")
ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""The form of a root path; it must not lead to another host or upwards."""

_HOST = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_COMMON_SECRETS = frozenset(
    {"changeme", "change-me", "change_me", "password", "passw0rd", "administrator", "your-token", "your-secret"}
    | {"default-token", "not-needed", "admin-token-here", "12345678", "123456789", "1234567890", "herding-admin"}
)


def revealed(given: SecretStr | None) -> str | None:
    """Return the text of a secret setting, None without one."""
    return given.get_secret_value() if given else None


def _check_secret(given: SecretStr | None, *, at_least: int) -> SecretStr | None:
    """Return the secret, or None for a blank one. Raises ValueError, without the value, if it is easy to guess."""
    text = given.get_secret_value().strip() if given else ""
    if given is None or not text:
        return None
    if len(text) < at_least or text.lower() in _COMMON_SECRETS or len(set(text)) < 4:
        raise ValueError(f"this secret is too easy to guess; use at least {at_least} random characters")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("this secret has characters that a header can't contain; use ASCII letters, digits and signs")
    return SecretStr(text)


class _CleanEnvironment(EnvSettingsSource):
    """The environment, with cleaned values; what is blank then is not set."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = super()._load_env_vars()
        cleaned = {name: None if value is None else clean_value(value) for name, value in found.items()}
        return {name: value for name, value in cleaned.items() if value != ""}


class Settings(BaseSettings):
    """The settings of an operator. Each field is the environment variable `HERDING_<NAME>`, except `database`."""

    model_config = SettingsConfigDict(env_prefix="HERDING_", env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(
        default_factory=_default_home,
        description="Data directory for the database, keys and caches. Default: `./data`, or `~/.local/share/herding` "
        "if the current directory is read-only.",
    )
    host: str = Field(
        default_factory=lambda: "0.0.0.0" if on_space() else "127.0.0.1", description="Address to listen on."
    )
    port: int = Field(default=7860, ge=0, le=65535, description="Port to listen on.")
    prompts: Path = Field(
        default_factory=_default_prompts,
        description="Directory of the prompt files. Default: `prompts` of the checkout, or a copy in the data "
        "directory if the package is installed.",
    )
    documents: Path | None = Field(
        default=None,
        description="Directory to index: each folder in it is a collection, kept equal to the files below it. "
        "Default: none.",
    )
    vector_store: Literal["auto", "sqlite-vec", "pgvector", "numpy"] = Field(
        default="auto",
        description="What compares the vectors of collections. Default: sqlite-vec or pgvector where the database has "
        "it, else numpy.",
    )
    plugins_off: list[str] = Field(
        default_factory=list, description="JSON list of plugins, or of their packages, that are not loaded."
    )
    nodes: Path = Field(
        default_factory=lambda: shipped_files() / "config" / "nodes.yaml", description="File of the nodes."
    )
    roles: Path = Field(
        default_factory=lambda: shipped_files() / "config" / "roles.yaml", description="File of the roles."
    )
    discord: Path = Field(
        default_factory=lambda: shipped_files() / "config" / "discord.yaml", description="File of the Discord bot."
    )
    discord_api: str = Field(
        default="https://discord.com/api/v10",
        description="Base URL of Discord's API, where an API proxy stands in front of it.",
    )
    server: str = Field(
        default="http://127.0.0.1:7860", description="URL of the server that `herding discord` runs beside."
    )
    token: SecretStr | None = Field(
        default=None, description="Token of an admin on that server, for `herding discord`."
    )
    discord_bot_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DISCORD_BOT_TOKEN", "HERDING_DISCORD_BOT_TOKEN"),
        description="`DISCORD_BOT_TOKEN`: token of the Discord bot, which runs in the app if it is set.",
    )
    admin_token: SecretStr | None = Field(
        default=None, description="Token of the operator. If it is set, visitors without a token are guests."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key of at least 32 characters for tokens and sessions. Default: a random key in the data "
        "directory. Set it if that directory is not persistent, or if several instances share a database.",
    )
    node_secret: SecretStr | None = Field(
        default=None, description="Secret shared with engines. Default: random at each start."
    )
    trusted_proxies: int = Field(
        default_factory=lambda: 1 if on_space() else 0,
        ge=0,
        le=10,
        description="Number of reverse proxies in front of the app, and of trusted entries in X-Forwarded-For.",
    )
    root_path: str = Field(
        default="",
        description="Path below which a reverse proxy serves the app, such as `/herding`. A trusted proxy may send it "
        "as X-Forwarded-Prefix instead.",
    )
    frame_ancestors: list[str] = Field(
        default_factory=lambda: ["*"] if on_space() else ["https://huggingface.co"],
        description="JSON list of origins whose pages may embed the app. On a Space, all may.",
    )
    cors_origins: list[str] = Field(
        default_factory=list,
        description="JSON list of origins whose pages may call the API from a browser, with a token: "
        "`https://example.com`, or `*` for all.",
    )
    trusted_hosts: list[str] = Field(
        default_factory=list, description="JSON list of accepted host names. Default: by listening address."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="JSON list of private hosts that nodes added at run time may use: `host`, `host:port` "
        "or `scheme://host:port`.",
    )
    max_connections_per_address: int = Field(
        default=256,
        ge=8,
        description="Connections that one address may have open, if there are no trusted proxies.",
    )
    max_body: int = Field(
        default=16_000_000,
        ge=10_000,
        description="Bytes of the largest request body, on the routes that take images, files or many texts.",
    )
    max_guest_body: int = Field(default=1_000_000, ge=1_000, description="Bytes of the largest request body of guests.")
    grace_seconds: float = Field(
        default=3.0,
        ge=0,
        le=600,
        description="Seconds that running requests get to end by themselves after SIGTERM or SIGINT.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Log level.")
    database: str | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "HERDING_DATABASE_URL"),
        description="`DATABASE_URL`: URL of the database. Default: an SQLite file in the data directory.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (replaced)
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not read)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not read)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment."""
        return init_settings, _CleanEnvironment(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _is_one_line(cls, given: Any) -> Any:
        if isinstance(given, str) and not given.isprintable():
            raise ValueError("the value has a line break or another control character; remove it")
        return given

    @field_validator("home", "prompts", "documents", "nodes", "roles", "discord")
    @classmethod
    def _expand_user(cls, given: Path | None) -> Path | None:
        try:
            return given and given.expanduser()
        except RuntimeError:
            raise ValueError(f"the home directory in '{given}' is not known; write an absolute path") from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_any_case(cls, given: Any) -> Any:
        return given.upper() if isinstance(given, str) else given

    @field_validator("trusted_hosts")
    @classmethod
    def _are_host_names(cls, given: list[str]) -> list[str]:
        for entry in given:
            if not _HOST_NAME.fullmatch(entry):
                raise ValueError(f"'{entry}' is not a host name; write example.com or *.example.com, without a port")
        return given

    @field_validator("admin_token", "node_secret")
    @classmethod
    def _is_hard_to_guess(cls, given: SecretStr | None) -> SecretStr | None:
        return _check_secret(given, at_least=8)

    @field_validator("secret_key")
    @classmethod
    def _is_long(cls, given: SecretStr | None) -> SecretStr | None:
        return _check_secret(given, at_least=32)

    @field_validator("root_path")
    @classmethod
    def _is_path(cls, given: str) -> str:
        path = given.rstrip("/")
        if path and not ROOT_PATH.fullmatch(path):
            raise ValueError(f"'{given}' is not a path; write /herding")
        return path

    @field_validator("frame_ancestors")
    @classmethod
    def _are_origins(cls, given: list[str]) -> list[str]:
        for origin in given:
            if not _ANCESTOR.fullmatch(origin):
                raise ValueError(f"'{origin}' is not an origin; write https://example.com")
        return given

    @field_validator("cors_origins")
    @classmethod
    def _are_browser_origins(cls, given: list[str]) -> list[str]:
        return [clean_origin(origin) for origin in given]

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, given: list[str]) -> list[str]:
        for entry in given:
            if not _HOST.fullmatch(entry):
                raise ValueError(f"'{entry}' is not a host; write 10.0.0.5:8000 or http://gpu.lan:8000")
        return given

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{quote(str(self.home.absolute() / 'herding.sqlite'))}"

    @property
    def local_only(self) -> bool:
        """True if only this machine can reach the app, so that its user is the operator."""
        return is_loopback(self.host) and not on_space() and not self.trusted_proxies

    @property
    def trusts_all(self) -> bool:
        """True if all users are admins: only this machine can reach the app, and no admin token is set."""
        return self.local_only and self.admin_token is None

    @property
    def host_names(self) -> list[str]:
        """Accepted values of the Host header. Others are refused to prevent DNS rebinding."""
        if self.trusted_hosts:
            return self.trusted_hosts
        return ["127.0.0.1", "localhost", "[::1]", "::1"] if self.local_only else ["*"]


def copy_shipped_prompts(settings: Settings) -> None:
    """Copy the shipped prompts to the data directory at the first start of an installed package. Blocks.

    Prompts must be writable, and the files of a package are not. A directory that exists is never changed. Raises
    ConfigError.
    """
    prompts, shipped = settings.prompts, INSTALLED_FILES / "prompts"
    if not shipped.is_dir() or prompts != settings.home / "prompts" or prompts.exists():
        return
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.home) as folder:
            hidden = shutil.ignore_patterns(".*")  # such as the ID of the directory that the package was built from
            copy = shutil.copytree(shipped, Path(folder) / "prompts", ignore=hidden)
            with contextlib.suppress(OSError):  # another process was first
                copy.rename(prompts)
    except OSError as error:  # its text names the files if there are several
        reason = f"The prompts can't be copied to '{prompts}': {error.strerror or error}."
        raise ConfigError(reason, key="HERDING_HOME") from None


_NUMBERS = {
    "int_parsing": "enter a whole number",
    "int_from_float": "enter a whole number",
    "float_parsing": "enter a number",
}
"""Advice on what to enter, by the kind of an error of the schema."""


def read_settings(**overrides: Any) -> Settings:
    """Return the settings. `overrides` take precedence over the environment.

    Raises ConfigError, with the variable, for a value that is not valid and for a place that does not exist. Nothing is
    created.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        reason = _NUMBERS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{reason}.", key=name if name.isupper() else _variable(name)) from None
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        key = _variable(field[1]) if field else None
        raise ConfigError('write a JSON list, such as ["one", "two"].', key=key) from None
    _check_places(settings)
    return settings


def misspelt_variables() -> dict[str, str]:
    """Return the environment variables that are no settings but resemble one, each with that setting."""
    known = [*map(_variable, Settings.model_fields), "HERDING_DATABASE_URL"]
    unknown = [name for name in os.environ if name.startswith("HERDING_") and name not in known]
    close = {name: get_close_matches(name, known, n=1, cutoff=0.85) for name in unknown}
    return {name: found[0] for name, found in close.items() if found}


def _variable(field: str) -> str:
    return f"HERDING_{field.upper()}"


def _check_places(settings: Settings) -> None:
    """Raise ConfigError for a file or a directory that cannot be used."""
    existing = next(path for path in (settings.home.absolute(), *settings.home.absolute().parents) if _exists(path))
    if not existing.is_dir():
        raise ConfigError(f"'{existing}' is a file, not a directory.", key="HERDING_HOME")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"'{existing}' is not writable. Grant access, or choose another one.", key="HERDING_HOME")
    copied = settings.prompts == settings.home / "prompts" and INSTALLED_FILES.is_dir()
    if not copied and not settings.prompts.is_dir():
        what = "is not a directory" if _exists(settings.prompts) else "does not exist"
        raise ConfigError(f"The directory '{settings.prompts}' {what}.", key="HERDING_PROMPTS")
    if settings.documents and not settings.documents.is_dir():
        what = "is not a directory" if _exists(settings.documents) else "does not exist"
        raise ConfigError(f"The directory '{settings.documents}' {what}.", key="HERDING_DOCUMENTS")
    for name, path in (("nodes", settings.nodes), ("roles", settings.roles)):
        if not path.is_file():
            what = "is a directory, not a file" if path.is_dir() else "does not exist"
            raise ConfigError(f"'{path}' {what}.", key=_variable(name))


def _exists(path: Path) -> bool:
    """Return whether there is something at a path; true as well where that cannot be told."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # no access, or the name is too long
        return True
    return True
