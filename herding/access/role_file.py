"""The roles file: the privileges and limits of each role."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt, ValidationInfo, field_validator

from herding import yaml_files
from herding.access.operations import ADMINISTER, OLDER_TABS, PATHS, RIGHTS, TABS, USERS
from herding.access.roles import check_prompt_pattern
from herding.errors import ConfigError, UserError
from herding.values import MAX_INTERVAL_HOURS, Limit, LimitType, Principal
from herding.yaml_files import StrictModel

GUEST, ADMIN = "guest", "admin"
WATCH_SECONDS = 1.0
MAX_FILE = 256_000

log = logging.getLogger(__name__)

Stamp = tuple[int, ...]


class LimitEntry(StrictModel):
    """A limit in the roles file; `interval` is in hours, `limit` of the type `cost` in US dollars.

    YAML's `yes` and quoted numbers are refused.
    """

    type: LimitType
    interval: float = Field(gt=0, le=MAX_INTERVAL_HOURS, strict=True, description="hours")
    limit: StrictInt | StrictFloat = Field(allow_inf_nan=False, description="requests, tokens, or US dollars")

    @field_validator("limit")
    @classmethod
    def _check_amount(cls, amount: float, info: ValidationInfo) -> float:
        if kind := info.data.get("type"):
            Limit.of(kind, 1, amount)
        return amount

    def to_limit(self) -> Limit:
        """Return the limit as a value."""
        return Limit.of(self.type, self.interval, self.limit)


class RoleEntry(StrictModel):
    """A role in the roles file. Anything not listed is denied; `*` means all. `description` has no effect.

    Without `allow_collections`, as in older files, a role that may use all paths may use all collections.
    """

    description: str = ""
    allow_nodes: list[str] = Field(default_factory=list)
    allow_prompts: list[str] = Field(default_factory=list)
    allow_collections: list[str] | None = None
    allow_api_paths: list[str] = Field(default_factory=list)
    allow_tabs: list[str] = Field(default_factory=list)
    rights: list[str] = Field(default_factory=list)
    limits: list[LimitEntry] = Field(default_factory=list)

    @field_validator("allow_prompts")
    @classmethod
    def _check_prompts(cls, patterns: list[str]) -> list[str]:
        return [check_prompt_pattern(pattern) for pattern in patterns]

    @field_validator("allow_api_paths")
    @classmethod
    def _check_paths(cls, paths: list[str]) -> list[str]:
        return _check_names(paths, PATHS, "path of the API")

    @field_validator("allow_tabs")
    @classmethod
    def _check_tabs(cls, tabs: list[str]) -> list[str]:
        return _check_names([_tab(name) for name in tabs], TABS, "tab")

    @field_validator("rights")
    @classmethod
    def _check_rights(cls, rights: list[str]) -> list[str]:
        return _check_names(rights, RIGHTS, "right")


class RoleFile(StrictModel):
    """All roles by name; `guest` and `admin` must be among them."""

    roles: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")], RoleEntry]

    @field_validator("roles")
    @classmethod
    def _check_required_roles(cls, roles: dict[str, RoleEntry]) -> dict[str, RoleEntry]:
        if missing := [name for name in (GUEST, ADMIN) if name not in roles]:
            raise ValueError(f"the role '{missing[0]}' is missing")
        spelled: dict[str, str] = {}
        for name in roles:
            if (other := spelled.setdefault(name.lower(), name)) != name:
                raise ValueError(f"the roles '{other}' and '{name}' differ only by case")
        return roles


@dataclass(frozen=True, slots=True)
class Role:
    """A role with its privileges and limits."""

    name: str
    rights: frozenset[str]
    nodes: tuple[str, ...]
    prompts: tuple[str, ...]
    collections: tuple[str, ...]
    tabs: tuple[str, ...]
    limits: tuple[Limit, ...]
    first_tab: str = ""


@dataclass(frozen=True, slots=True)
class RoleNotes:
    """The text of the roles file, its digest, and the problem that keeps it from taking effect, if any."""

    text: str
    digest: str
    problem: str | None


class Roles:
    """The roles of a file, which is read again when it changes. An invalid file leaves the old roles in effect.

    The roles are replaced in one assignment, so that readers see a consistent set; `edition` counts these.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _file_stamp(path)
        self._roles = _read(path)
        self.edition = 1
        self._saving = asyncio.Lock()
        self.problem: ConfigError | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the roles."""
        return tuple(self._roles)

    def get(self, name: str) -> Role:
        """Return the role of that name; one without any privileges if it does not exist."""
        return self._roles.get(name) or Role(name, frozenset(), (), (), (), (), ())

    async def watch(self) -> None:
        """Read the file again when it changes, as long as the app runs."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Read the file again if it changed. Blocks: call it from a thread."""
        stamp = _file_stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._swap(_read(self._path))
        except ConfigError as error:
            self.problem = error
            log.error("roles not reloaded (%s)", error)

    def _swap(self, roles: Mapping[str, Role]) -> None:
        self.problem = None
        if roles == self._roles:
            return
        self._roles = roles
        self.edition += 1
        log.info("roles reloaded (%s)", self._path)

    async def notes(self) -> RoleNotes:
        """Return the current file."""
        text = await asyncio.to_thread(self._text)
        return RoleNotes(text, _digest(text), str(self.problem) if self.problem else None)

    async def save(self, text: str, seen: str, *, keeps: str) -> RoleNotes:
        """Write the file atomically; it takes effect at once.

        Raises UserError for an invalid text, for one that takes from the role `keeps` what it needs to edit the file,
        and if the digest of the file is no longer `seen`.
        """
        async with self._saving:
            await asyncio.to_thread(self._save, text, seen, keeps)
        return await self.notes()

    def _save(self, text: str, seen: str, keeps: str) -> None:
        if len(text) > MAX_FILE:
            raise UserError(f"A roles file has at most {MAX_FILE:,} characters.", param="text")
        try:
            roles = _build(yaml_files.YamlDocument(text))
        except ConfigError as error:
            place = f"line {error.line}: " if error.line else ""
            raise UserError(f"The roles were not saved: {place}{error.reason}.", param="text") from None
        if keeps not in roles or not roles[keeps].rights >= {USERS, ADMINISTER} or "access" not in roles[keeps].tabs:
            message = f"Your role '{keeps}' must keep the tab access, the path /api/v1/users and the right administer."
            raise UserError(message, param="text")
        if _digest(self._text()) != seen:
            raise UserError("The file was changed meanwhile. Load it again and repeat your change.", param="text")
        try:
            yaml_files.write(self._path, text)
        except OSError as error:
            reason = f"The roles file cannot be written ({error.strerror}). Edit it on the server."
            raise UserError(reason, param="text") from None
        self._swap(roles)

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"this file cannot be read: {error}", file=self._path) from None

    def principal(
        self,
        id: str,
        role: str,
        *,
        limits: Sequence[Limit] = (),
        opt_out: bool = False,
        token: str | None = None,
    ) -> Principal:
        """Return a principal with a role, and limits in addition to those of the role."""
        found = self.get(role)
        return Principal(
            id=id,
            role=role,
            rights=found.rights,
            nodes=found.nodes,
            prompts=found.prompts,
            collections=found.collections,
            tabs=found.tabs,
            first_tab=found.first_tab,
            limits=tuple(dict.fromkeys((*found.limits, *limits))),
            opt_out=opt_out,
            token=token,
        )


def _read(path: Path) -> Mapping[str, Role]:
    return _build(yaml_files.read(path))


def _build(source: yaml_files.YamlDocument) -> Mapping[str, Role]:
    entries = source.build(RoleFile).roles
    return MappingProxyType({name: _role(name, entry) for name, entry in entries.items()})


def _role(name: str, entry: RoleEntry) -> Role:
    operations = {PATHS[path] for path in _expand(entry.allow_api_paths, PATHS)}
    return Role(
        name=name,
        rights=frozenset(operations | set(_expand(entry.rights, RIGHTS))),
        nodes=tuple(entry.allow_nodes),
        prompts=tuple(entry.allow_prompts),
        collections=tuple(_collections(entry)),
        tabs=tuple(tab for tab in TABS if tab in _expand(entry.allow_tabs, TABS)),
        limits=tuple(limit.to_limit() for limit in entry.limits),
        first_tab=next(iter(_expand(entry.allow_tabs, TABS)), ""),
    )


def _collections(entry: RoleEntry) -> list[str]:
    if entry.allow_collections is not None:
        return entry.allow_collections
    return ["*"] if "*" in entry.allow_api_paths else []


def _expand(names: Sequence[str], known: Mapping[str, str] | Sequence[str] | frozenset[str]) -> list[str]:
    return list(known) if "*" in names else list(names)


def _tab(name: str) -> str:
    """Return the name of a tab, given in any case or as older files spell it."""
    lower = name.lower()
    return OLDER_TABS.get(lower, lower if lower in TABS else name)


def _check_names(names: list[str], known: Mapping[str, str] | Sequence[str] | frozenset[str], kind: str) -> list[str]:
    for name in names:
        if name != "*" and name not in known:
            raise ValueError(f"'{name}' is not a {kind}. Known: {', '.join(sorted(known))}")
    return names


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _file_stamp(path: Path) -> Stamp | None:
    """Return a value that changes with the content and the permissions of the file; None without a file.

    A copy may have the modification time (mtime) of the original, but not its change time (ctime).
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
