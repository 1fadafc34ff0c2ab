"""Specifications of nodes that are added while Herding runs: a configuration and its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from herding.errors import UserError
from herding.nodes.base import RemoteConfig
from herding.nodes.catalog import REMOTE_KINDS
from herding.nodes.http import is_header_value
from herding.nodes.template import MIN_SECRET_CHARS
from herding.nodes.template_syntax import SECRET

MAX_MODELS = 100
MAX_SECRET_CHARS, MAX_SECRETS = 4_000, 20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node to add. Where the configuration names environment variables, it has the names of `secrets` here."""

    config: RemoteConfig
    secrets: Mapping[str, str]
    owner: str = ""

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.config.name

    @property
    def url(self) -> str:
        """The URL of the node; the URL of a template may contain placeholders."""
        return self.config.address

    @property
    def models(self) -> tuple[str, ...]:
        """The configured models; an engine reports its own."""
        return config_models(self.config)


def config_models(config: RemoteConfig) -> tuple[str, ...]:
    """Return the models in a configuration that respond with text."""
    return tuple(getattr(config, "models", ()))


def reading_models(config: RemoteConfig) -> tuple[str, ...]:
    """Return the embedding models and rerankers in a configuration."""
    return (*getattr(config, "embedding_models", ()), *getattr(config, "rerank_models", ()))


def is_file_only(field: str) -> bool:
    """True if a field is allowed in the nodes file alone: names of environment variables, and the network."""
    return field.endswith("_env") or field in ("ca_file", "proxy")


def spec_url(fields: Mapping[str, Any]) -> str:
    """Return the URL in fields that are not validated yet; empty if there is none."""
    kind = REMOTE_KINDS.get(str(fields.get("kind")))
    url = fields.get(kind.url_field if kind else "base_url")
    return url if isinstance(url, str) else ""


def spec_secrets(fields: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the secrets in fields that are not validated yet, None if there are none.

    Raises UserError for secrets that a header cannot carry, or that are too short to be redacted.
    """
    if fields.get("secret") is None and fields.get("secrets") is None:
        return None
    named = fields.get("secrets") or {}
    if not isinstance(named, Mapping) or len(named) > MAX_SECRETS:
        raise UserError(f"'secrets' must be an object with at most {MAX_SECRETS} texts.", param="secrets")
    secrets = {**named, SECRET: fields["secret"]} if fields.get("secret") else dict(named)
    for name, value in secrets.items():
        if not _SECRET_NAME.fullmatch(str(name)):
            raise UserError("Names of secrets may contain letters, digits and '_'.", param="secrets")
        if not isinstance(value, str) or not _is_secret(value):
            message = (
                f"The secret {name} must have {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS:,} printable ASCII characters."
            )
            raise UserError(message, param="secret" if name == SECRET else "secrets")
    return secrets


def read_spec(fields: Mapping[str, Any], secrets: Mapping[str, str]) -> NodeSpec:
    """Return the specification in `fields` with `secrets`; raise UserError with the field at fault.

    The fields are those of the nodes file and `owner`, without environment variables. Credentials in headers, query or
    body of a template become secrets.
    """
    words = {key: value for key, value in fields.items() if key not in ("secret", "secrets", "owner")}
    kind = REMOTE_KINDS.get(str(words.get("kind")))
    if kind is None:
        raise _unknown_kind()
    if file_only := sorted(filter(is_file_only, words)):
        message = f"'{file_only[0]}' is only allowed in the nodes file."
        if file_only[0].endswith("_env"):
            message += " Send the secret itself as 'secret'."
        raise UserError(message, param=file_only[0])
    all_secrets = dict(secrets)
    config = read_config(kind.with_secrets(words, all_secrets))
    _check_names(config)
    return NodeSpec(config, all_secrets, _owner(fields.get("owner")))


def read_config(fields: Mapping[str, Any]) -> RemoteConfig:
    """Return the configuration in `fields`; raise UserError with the field at fault."""
    kind = REMOTE_KINDS.get(str(fields.get("kind")))
    if kind is None:
        raise _unknown_kind()
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        reason = "unknown field" if first["type"] == "extra_forbidden" else reason
        message = f"{field}: {reason}." if field else f"{reason[:1].upper()}{reason[1:]}."
        raise UserError(message, param=field or None) from None
    except UnicodeEncodeError:  # a reason with such a text in it
        raise UserError("A field has half of a surrogate pair, which is not a character. Remove it.") from None
    except RecursionError:
        raise UserError("The body is nested too deeply.", param="body") from None


def _unknown_kind() -> UserError:
    return UserError(f"'kind' must be one of {', '.join(REMOTE_KINDS)}.", param="kind")


def _is_secret(value: str) -> bool:
    return MIN_SECRET_CHARS <= len(value) <= MAX_SECRET_CHARS and is_header_value(value)


def _check_names(config: RemoteConfig) -> None:
    if not _NAME.fullmatch(config.name):
        raise UserError("A node name must have 1 to 64 letters, digits, '.', '_' or '-'.", param="name")
    models = [*config_models(config), *reading_models(config)]
    if len(models) > MAX_MODELS or len(set(models)) != len(models):
        raise UserError(f"Enter at most {MAX_MODELS} different models.", param="models")
    for model in models:
        if not 1 <= len(model) <= 300 or not model.isprintable() or model != model.strip():
            message = "A model ID must have 1 to 300 characters without spaces at the beginning or end."
            raise UserError(message, param="models")


def _owner(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 200 or not (value.isprintable() or not value):
        raise UserError("'owner' must be a text of at most 200 characters.", param="owner")
    return value
