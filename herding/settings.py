"""All settings in one typed class; nothing else in Herding reads the environment."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from herding.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def on_space() -> bool:
    """Whether this process runs as a Hugging Face Space."""
    return "SPACE_ID" in os.environ or os.environ.get("SYSTEM") == "spaces"


def secret(name: str) -> str | None:
    """The secret that configuration refers to by the name of an environment variable; None if unset or blank."""
    return os.environ.get(name, "").strip() or None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
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


_ANCESTOR = re.compile(r"\*|https?://[A-Za-z0-9.*-]+(:[0-9]{1,5})?")
_HOST = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_COMMON = frozenset(
    {"changeme", "change-me", "change_me", "password", "passw0rd", "administrator", "your-token", "your-secret"}
    | {"default-token", "not-needed", "admin-token-here", "12345678", "123456789", "1234567890", "herding-admin"}
)


def _secret_of(given: SecretStr | None, *, at_least: int) -> SecretStr | None:
    """A secret that nobody guesses at once; None for a blank one. The value is not in the error."""
    text = given.get_secret_value().strip() if given else ""
    if given is None or not text:
        return None
    if len(text) < at_least or text.lower() in _COMMON or len(set(text)) < 4:
        raise ValueError(f"this secret is too easy to guess; use at least {at_least} random characters")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("this secret has characters that no header carries; use letters, digits and signs")
    return SecretStr(text)


class Settings(BaseSettings):
    """What an operator may set; every field is the environment variable `HERDING_<NAME>` unless it says otherwise."""

    model_config = SettingsConfigDict(env_prefix="HERDING_", env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(
        default_factory=_default_home,
        description="Data directory: database, keys, caches. Default `./data`, or in the user's home directory where "
        "the current directory is read-only.",
    )
    host: str = Field(
        default_factory=lambda: "0.0.0.0" if on_space() else "127.0.0.1", description="Address to listen on."
    )
    port: int = Field(default=7860, ge=0, le=65535, description="Port to listen on.")
    prompts: Path = Field(default=ROOT / "prompts", description="Directory of the prompt files.")
    nodes: Path = Field(default=ROOT / "config" / "nodes.yaml", description="File of the nodes.")
    roles: Path = Field(default=ROOT / "config" / "roles.yaml", description="File of the roles.")
    admin_token: SecretStr | None = Field(
        default=None, description="Token that makes its holder admin; whoever comes without a token is a guest then."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="At least 32 characters that tokens and sessions hang on; default: a random key in the data "
        "directory. Set it where that directory does not last, or where several instances share a database.",
    )
    node_secret: SecretStr | None = Field(
        default=None, description="Secret shared with engines; random per start if unset."
    )
    trusted_proxies: int = Field(
        default_factory=lambda: 1 if on_space() else 0,
        ge=0,
        le=10,
        description="How many proxies stand before the app; as many entries of X-Forwarded-For are believed.",
    )
    frame_ancestors: list[str] = Field(
        default_factory=lambda: ["*"] if on_space() else ["https://huggingface.co"],
        description="JSON list of origins whose pages may show the app in a frame; on a Space any may.",
    )
    trusted_hosts: list[str] = Field(
        default_factory=list, description="JSON list of host names the app answers to; default: by listening address."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="JSON list of hosts in private networks that nodes added at run time may use: `host`, `host:port` "
        "or `scheme://host:port`.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Level of the log.")
    database: str | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "HERDING_DATABASE_URL"),
        description="`DATABASE_URL`: the database; default is one SQLite file in the data directory.",
    )

    @field_validator("admin_token", "node_secret")
    @classmethod
    def _no_common_secret(cls, given: SecretStr | None) -> SecretStr | None:
        return _secret_of(given, at_least=8)

    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, given: SecretStr | None) -> SecretStr | None:
        return _secret_of(given, at_least=32)

    @field_validator("frame_ancestors")
    @classmethod
    def _origins(cls, given: list[str]) -> list[str]:
        for origin in given:
            if not _ANCESTOR.fullmatch(origin):
                raise ValueError(f"'{origin}' is no origin; write https://example.com")
        return given

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, given: list[str]) -> list[str]:
        for entry in given:
            if not _HOST.fullmatch(entry):
                raise ValueError(f"'{entry}' is no host; write 10.0.0.5:8000 or http://gpu.lan:8000")
        return given

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{quote(str(self.home.absolute() / 'herding.sqlite'))}"

    @property
    def local_only(self) -> bool:
        """Whether only this machine can reach the app, so that its user is the operator."""
        return is_loopback(self.host) and not on_space() and not self.trusted_proxies

    @property
    def trusts_all(self) -> bool:
        """Whether whoever reaches the app is admin: only this machine can, and no token is configured."""
        return self.local_only and self.admin_token is None

    @property
    def host_names(self) -> list[str]:
        """Values of the Host header to answer to; others are refused (a page elsewhere may rebind its name to us)."""
        if self.trusted_hosts:
            return self.trusted_hosts
        return ["127.0.0.1", "localhost", "[::1]", "::1"] if self.local_only else ["*"]


def read_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` go before the environment. Raise ConfigError that names the wrong variable."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"HERDING_{name.upper()}"
        raise ConfigError(f"{first['msg'].removeprefix('Value error, ')}.", key=variable) from None
    except SettingsError as error:
        raise ConfigError(f"{error}; write a JSON list.") from None
