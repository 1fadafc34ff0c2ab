"""Roles and the rights they carry. Every operation of the orchestrator asks for one of these rights."""

from __future__ import annotations

from typing import Final

from herding.errors import AccessError
from herding.values import Principal

RUN: Final = "run"
CHAT: Final = "chat"
EDIT: Final = "edit"
RATE: Final = "rate"
HISTORY: Final = "history"
HISTORY_ALL: Final = "history_all"
NODES: Final = "nodes"
SWITCH_MODEL: Final = "switch_model"

_GUEST = frozenset({RUN, RATE, HISTORY, NODES})
RIGHTS: Final = {
    "guest": _GUEST,
    "admin": _GUEST | {CHAT, EDIT, HISTORY_ALL, SWITCH_MODEL},
}


def principal(id: str, role: str) -> Principal:
    """A principal with the rights of `role`; an unknown role has none."""
    return Principal(id, role, RIGHTS.get(role, frozenset()))


def require(who: Principal, right: str) -> None:
    """AccessError unless `who` has the right."""
    if right not in who.rights:
        raise AccessError(f"The role '{who.role}' may not do this (it lacks the right '{right}'). Ask an admin.")


def owner(who: Principal) -> str | None:
    """Whose requests `who` may act on: only their own, or None for everybody's."""
    return None if HISTORY_ALL in who.rights else who.id


def owner_filter(who: Principal) -> str | None:
    """Whose requests `who` may look up in the history: only their own, or None for everybody's."""
    require(who, HISTORY)
    return owner(who)
