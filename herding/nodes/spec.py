"""What somebody says of a node that they add at run time: a configuration, and the secrets that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from herding.errors import UserError
from herding.nodes.catalog import RemoteConfig
from herding.nodes.headers import fits_header
from herding.nodes.placeholders import SECRET, names
from herding.nodes.template import TemplateConfig

KINDS = ("openai", "herding", "template")
MAX_MODELS = 100
LEAST_SECRET, MAX_SECRET, MAX_SECRETS = 4, 4_000, 20

_CONFIG: TypeAdapter[RemoteConfig] = TypeAdapter(Annotated[RemoteConfig, Field(discriminator="kind")])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_IN_HEADERS = re.compile(".*(auth|cookie|key|token|secret|password|credential).*", re.IGNORECASE)
_IN_BODY = re.compile(
    "(x[-_])?((api|access|auth|client|private|secret)[-_]?(key|token|secret)|password|secret)", re.IGNORECASE
)
_IN_QUERY = re.compile(f"{_IN_BODY.pattern}|key|token", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z-]{1,20} +)?(.*)", re.DOTALL)
"""A word such as `Bearer` before a credential, which a server that repeats the credential may leave out."""
_OURS = {"api_key_env", "secret_env"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A node to be: its configuration names `secrets` by the names that they have here."""

    config: RemoteConfig
    secrets: Mapping[str, str]
    owner: str = ""

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def url(self) -> str:
        """Where it is; of a template, with its placeholders."""
        return url_of(self.config)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it is said to serve; an engine tells itself."""
        return models_of(self.config)


def url_of(config: RemoteConfig) -> str:
    """Where a node is."""
    return config.url if isinstance(config, TemplateConfig) else config.base_url


def models_of(config: RemoteConfig) -> tuple[str, ...]:
    """The models that a configuration names."""
    return tuple(getattr(config, "models", ()))


def given_url(given: Mapping[str, Any]) -> str:
    """The URL in words that may be a spec; empty where there is none."""
    found = given.get("url") if given.get("kind") == "template" else given.get("base_url")
    return found if isinstance(found, str) else ""


def given_secrets(given: Mapping[str, Any]) -> dict[str, str] | None:
    """The secrets in words that may be a spec, None where they say nothing of any.

    UserError for those that no header carries, or that are too short to be recognised and masked.
    """
    if given.get("secret") is None and given.get("secrets") is None:
        return None
    more = given.get("secrets") or {}
    if not isinstance(more, Mapping) or len(more) > MAX_SECRETS:
        raise UserError(f"'secrets' are at most {MAX_SECRETS} texts by their names.", param="secrets")
    found = {**more, SECRET: given["secret"]} if given.get("secret") else dict(more)
    for name, value in found.items():
        if not _SECRET_NAME.fullmatch(str(name)):
            raise UserError("The name of a secret has letters, digits and '_'.", param="secrets")
        if not isinstance(value, str) or not LEAST_SECRET <= len(value) <= MAX_SECRET or not fits_header(value):
            message = f"The secret {name} must be {LEAST_SECRET} to {MAX_SECRET:,} characters that a header carries."
            raise UserError(message, param="secret" if name == SECRET else "secrets")
    return found


def read_spec(given: Mapping[str, Any], secrets: Mapping[str, str]) -> Spec:
    """The spec that plain words say, with the secrets of `secrets`; UserError names what is wrong with it.

    The words are those of the nodes file, with `owner` beside, and without environment variables. What looks like a
    credential in headers, query or body of a template becomes a secret.
    """
    words = {key: value for key, value in given.items() if key not in ("secret", "secrets", "owner")}
    if words.get("kind") not in KINDS:
        raise UserError(f"'kind' is one of {', '.join(KINDS)}.", param="kind")
    if named := sorted(_OURS & words.keys()):
        raise UserError(f"'{named[0]}' is for the nodes file. Give the secret itself as 'secret'.", param=named[0])
    found = dict(secrets)
    match words["kind"]:
        case "template":
            words |= _without_credentials(words, found)
            words["secrets"] = {name: name for name in found}
        case "openai" if SECRET in found:
            words["api_key_env"] = SECRET
        case "herding":
            words["secret_env"] = SECRET
            if SECRET not in found:
                raise UserError("An engine answers nobody without its secret. Give it as 'secret'.", param="secret")
    config = read_config(words)
    _check_names(config)
    return Spec(config, found, _owner(given.get("owner")))


def read_config(words: Mapping[str, Any]) -> RemoteConfig:
    """The configuration that plain words say; UserError names what is wrong."""
    try:
        return _CONFIG.validate_python(words)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        said = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
        said = "this is not known here" if first["type"] == "extra_forbidden" else said
        raise UserError(
            f"{place}: {said}." if place else f"{said[:1].upper()}{said[1:]}.", param=place or None
        ) from None
    except RecursionError:
        raise _too_deep() from None


def _without_credentials(words: Mapping[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """Headers, query and body of a template, with secrets in the place of credentials, which are put into `secrets`."""
    try:
        return {
            "headers": _lifted(words.get("headers"), _IN_HEADERS, "HEADER", secrets) or {},
            "query": _lifted(words.get("query"), _IN_QUERY, "QUERY", secrets) or {},
            "body": _lifted(words.get("body"), _IN_BODY, "BODY", secrets),
        }
    except RecursionError:
        raise _too_deep() from None


def _lifted(template: Any, telling: re.Pattern[str], place: str, secrets: dict[str, str]) -> Any:
    """`template` with secrets, which are put into `secrets`, for the credentials under keys that `telling` fits."""
    if isinstance(template, list):
        return [_lifted(part, telling, place, secrets) for part in template]
    if not isinstance(template, Mapping):
        return template
    made = {}
    for key, value in template.items():
        if isinstance(value, str) and telling.fullmatch(str(key)):
            made[key] = _credential(value, f"{place}_{key}", secrets)
        else:
            made[key] = _lifted(value, telling, place, secrets)
    return made


def _credential(value: str, name: str, secrets: dict[str, str]) -> str:
    """What stands for a credential; the value itself where it has placeholders, or is too short to be one."""
    found = _SCHEME.fullmatch(value)
    scheme, secret = found.groups(default="") if found else ("", value)
    if names(value) or not fits_header(value) or len(secret) < LEAST_SECRET:
        return value
    plain = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:60]
    free = (f"{plain}{number or ''}" for number in range(len(secrets) + 1))
    key = next(key for key in free if secrets.get(key, secret) == secret)
    secrets[key] = secret
    return f"{scheme}{{SECRET:{key}}}"


def _too_deep() -> UserError:
    return UserError("This is nested too deeply.", param="body")


def _check_names(config: RemoteConfig) -> None:
    if not _NAME.fullmatch(config.name):
        raise UserError("A node's name has 1 to 64 letters, digits, '.', '_' or '-'.", param="name")
    models = [*models_of(config), *getattr(config, "embedding_models", ())]
    if len(models) > MAX_MODELS or len(set(models)) != len(models):
        raise UserError(f"A node has at most {MAX_MODELS} models, each named once.", param="models")
    for model in models:
        if not 1 <= len(model) <= 300 or not model.isprintable() or model != model.strip():
            raise UserError("A model's id has 1 to 300 characters, and no blanks around them.", param="models")


def _owner(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > 200 or not (given.isprintable() or not given):
        raise UserError("'owner' is a text of at most 200 characters.", param="owner")
    return given
