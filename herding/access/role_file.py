"""The roles file: what each role may do, and how much of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, field_validator

from herding import yaml_files
from herding.access.operations import ADMINISTER, PATHS, RIGHTS, TABS, USERS
from herding.errors import ConfigError, UserError
from herding.values import MAX_INTERVAL_HOURS, MAX_LIMIT, Limit, Principal
from herding.yaml_files import StrictModel

GUEST, ADMIN = "guest", "admin"
WATCH_SECONDS = 1.0
MAX_FILE = 256_000

log = logging.getLogger(__name__)

Stamp = tuple[int, ...]


class LimitEntry(StrictModel):
    """A limit in the roles file; `interval` is in hours. YAML's `yes` and quoted numbers are no numbers."""

    type: Literal["request", "token"]
    interval: float = Field(gt=0, le=MAX_INTERVAL_HOURS, strict=True)
    limit: int = Field(ge=0, le=MAX_LIMIT, strict=True)

    def value(self) -> Limit:
        """The same, ready to be counted."""
        return Limit(self.type, self.interval, self.limit)


class RoleEntry(StrictModel):
    """A role in the roles file. What is left out is not allowed; `*` stands for all.

    The `description` is for whoever reads the file.
    """

    description: str = ""
    allow_nodes: list[str] = Field(default_factory=list)
    allow_prompts: list[str] = Field(default_factory=list)
    allow_api_paths: list[str] = Field(default_factory=list)
    allow_tabs: list[str] = Field(default_factory=list)
    rights: list[str] = Field(default_factory=list)
    limits: list[LimitEntry] = Field(default_factory=list)

    @field_validator("allow_api_paths")
    @classmethod
    def _paths_exist(cls, paths: list[str]) -> list[str]:
        return _known(paths, PATHS, "path of the API")

    @field_validator("allow_tabs")
    @classmethod
    def _tabs_exist(cls, tabs: list[str]) -> list[str]:
        return _known(tabs, TABS, "tab")

    @field_validator("rights")
    @classmethod
    def _rights_exist(cls, rights: list[str]) -> list[str]:
        return _known(rights, RIGHTS, "right")


class RoleFile(StrictModel):
    """All roles by name; `guest` and `admin` must be among them."""

    roles: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], RoleEntry]

    @field_validator("roles")
    @classmethod
    def _two_are_needed(cls, roles: dict[str, RoleEntry]) -> dict[str, RoleEntry]:
        if missing := [name for name in (GUEST, ADMIN) if name not in roles]:
            raise ValueError(f"the role '{missing[0]}' is missing")
        return roles


@dataclass(frozen=True, slots=True)
class Role:
    """A role, ready to be asked."""

    name: str
    rights: frozenset[str]
    nodes: tuple[str, ...]
    prompts: tuple[str, ...]
    tabs: tuple[str, ...]
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class RoleNotes:
    """The text of the roles file, a digest to tell it by, and why it is not in force, where it is not."""

    text: str
    digest: str
    problem: str | None


class Roles:
    """The roles of a file, read again when the file changes; a broken file leaves the old ones in force.

    A reader always sees one whole set: it is swapped in one assignment, and `edition` counts the swaps.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._roles = _read(path)
        self.edition = 1
        self._saving = asyncio.Lock()
        self.problem: ConfigError | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the roles."""
        return tuple(self._roles)

    def get(self, name: str) -> Role:
        """The role of that name; a name without role may do nothing."""
        return self._roles.get(name) or Role(name, frozenset(), (), (), (), ())

    async def watch(self) -> None:
        """Keep the roles as their file is; runs as long as the app."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Read the file again if it changed; blocks, so call it from a thread."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._swap(_read(self._path))
        except ConfigError as error:
            self.problem = error
            log.error("The roles stay as they were: %s", error)

    def _swap(self, roles: Mapping[str, Role]) -> None:
        self.problem = None
        if roles == self._roles:
            return
        self._roles = roles
        self.edition += 1
        log.info("New roles are in force: %s", self._path)

    async def notes(self) -> RoleNotes:
        """The file as it is now."""
        text = await asyncio.to_thread(self._text)
        return RoleNotes(text, _digest(text), str(self.problem) if self.problem else None)

    async def save(self, text: str, seen: str, *, keeps: str) -> RoleNotes:
        """Write the file, whole or not at all, and put it in force.

        UserError for a text that is no roles file, that takes from the role `keeps` what it needs to mend the file, or
        where the file is not any more the one with the digest `seen`.
        """
        async with self._saving:
            await asyncio.to_thread(self._save, text, seen, keeps)
        return await self.notes()

    def _save(self, text: str, seen: str, keeps: str) -> None:
        if len(text) > MAX_FILE:
            raise UserError(f"A roles file has at most {MAX_FILE:,} characters.", param="text")
        try:
            roles = _built(yaml_files.YamlDocument(text))
        except ConfigError as error:
            place = f"line {error.line}: " if error.line else ""
            raise UserError(f"These roles were not saved: {place}{error.reason}.", param="text") from None
        if keeps not in roles or not roles[keeps].rights >= {USERS, ADMINISTER} or "access" not in roles[keeps].tabs:
            message = f"Your role '{keeps}' must keep the tab access, the path /api/v1/users and the right administer."
            raise UserError(message, param="text")
        if _digest(self._text()) != seen:
            raise UserError("The file changed meanwhile. Load it again and repeat your change.", param="text")
        try:
            yaml_files.write(self._path, text)
        except OSError as error:
            reason = f"The roles file cannot be written ({error.strerror}); edit it where it is."
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
        """Somebody with a role, and limits of their own on top of the role's."""
        found = self.get(role)
        return Principal(
            id=id,
            role=role,
            rights=found.rights,
            nodes=found.nodes,
            prompts=found.prompts,
            tabs=found.tabs,
            limits=tuple(dict.fromkeys((*found.limits, *limits))),
            opt_out=opt_out,
            token=token,
        )


def _read(path: Path) -> Mapping[str, Role]:
    return _built(yaml_files.read(path))


def _built(source: yaml_files.YamlDocument) -> Mapping[str, Role]:
    entries = source.build(RoleFile).roles
    return MappingProxyType({name: _role(name, entry) for name, entry in entries.items()})


def _role(name: str, entry: RoleEntry) -> Role:
    operations = {PATHS[path] for path in _spread(entry.allow_api_paths, PATHS)}
    return Role(
        name=name,
        rights=frozenset(operations | set(_spread(entry.rights, RIGHTS))),
        nodes=tuple(entry.allow_nodes),
        prompts=tuple(entry.allow_prompts),
        tabs=tuple(tab for tab in TABS if tab in _spread(entry.allow_tabs, TABS)),
        limits=tuple(limit.value() for limit in entry.limits),
    )


def _spread(names: Sequence[str], known: Mapping[str, str] | Sequence[str] | frozenset[str]) -> list[str]:
    return list(known) if "*" in names else list(names)


def _known(names: list[str], known: Mapping[str, str] | Sequence[str] | frozenset[str], kind: str) -> list[str]:
    for name in names:
        if name != "*" and name not in known:
            raise ValueError(f"'{name}' is no {kind}; known are: {', '.join(sorted(known))}")
    return names


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> Stamp | None:
    """What changes with the file, and with who may read it; None where there is none.

    Whoever copies a file may keep the old one's time of writing (mtime), but not that of its change (ctime).
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
