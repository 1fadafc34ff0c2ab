"""The roles file: what it may say, and how a change of it takes effect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from herding.access.operations import PATHS, RIGHTS, TABS
from herding.access.role_file import Roles
from herding.access.roles import allows
from herding.errors import ConfigError
from herding.values import Limit
from tests.support.people import ROLES

FILE = """
roles:
  guest: {{}}
  admin:
    allow_api_paths: ["*"]
    rights: ["*"]
    allow_tabs: ["*"]
    allow_prompts: ["*"]
    allow_nodes: ["*"]
  some:
    {some}
"""


def write(path: Path, some: str) -> Path:
    path.write_text(FILE.format(some=some))
    os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + 1))
    return path


def test_what_is_not_listed_is_not_allowed(tmp_path: Path) -> None:
    who = Roles(write(tmp_path / "roles.yaml", "description: nothing")).principal("x", "some")
    assert (who.rights, who.nodes, who.prompts, who.tabs, who.limits) == (frozenset(), (), (), (), ())
    assert Roles(tmp_path / "roles.yaml").principal("x", "no such role").rights == frozenset()


def test_a_path_allows_its_operation_and_a_star_all(tmp_path: Path) -> None:
    roles = Roles(write(tmp_path / "roles.yaml", "allow_api_paths: [/api/v1/infer, /v1/models]"))
    assert roles.get("some").rights == {"run", "models"}
    assert roles.get("admin").rights == set(PATHS.values()) | RIGHTS
    assert roles.get("admin").tabs == TABS


def test_limits_of_the_user_come_on_top_of_the_roles(tmp_path: Path) -> None:
    roles = Roles(write(tmp_path / "roles.yaml", "limits: [{type: token, interval: 0.5, limit: 7}]"))
    own = Limit("request", 1, 3)
    assert roles.principal("x", "some", limits=[own]).limits == (Limit("token", 0.5, 7), own)


@pytest.mark.parametrize(
    ("some", "key"),
    [
        ("allow_api_paths: [/api/v1/infer, /api/v1/everything]", "allow_api_paths"),
        ("allow_tabs: [kitchen]", "allow_tabs"),
        ("rights: [fly]", "rights"),
        ("limits: [{type: money, interval: 1, limit: 1}]", "limits"),
        ("limits: [{type: token, interval: 0, limit: 1}]", "limits"),
        ("limits: [{type: token, interval: 1, limit: -1}]", "limits"),
        ("allowed_nodes: [x]", "allowed_nodes"),
    ],
)
def test_a_mistake_is_a_start_error_that_names_the_place(tmp_path: Path, some: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Roles(write(tmp_path / "roles.yaml", some))
    assert caught.value.line == 11
    assert key in str(caught.value.key)


def test_guest_and_admin_are_needed(tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text("roles: {guest: {}}")
    with pytest.raises(ConfigError, match="admin"):
        Roles(tmp_path / "roles.yaml")


def test_a_changed_file_takes_effect_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.yaml", "rights: [edit]")
    roles = Roles(path)
    write(path, "rights: [edit, save]")
    roles.refresh()
    assert roles.get("some").rights == {"edit", "save"}
    write(path, "rights: [nonsense]")
    roles.refresh()
    assert roles.get("some").rights == {"edit", "save"}
    assert roles.problem is not None
    write(path, "rights: [publish]")
    roles.refresh()
    assert (roles.get("some").rights, roles.problem) == ({"publish"}, None)


def test_patterns_are_globs() -> None:
    assert allows(["team/*", "say"], "team/a")
    assert not allows(["team/*", "say"], "say_more")
    assert not allows([], "say")


def test_shipped_guests_may_not_do_what_admins_do() -> None:
    guest, admin = ROLES.get("guest"), ROLES.get("admin")
    assert guest.rights < admin.rights
    assert not guest.rights & (RIGHTS | {"switch_model", "chat", "tokens", "users"})
    assert {limit.type for limit in guest.limits} == {"request", "token"}
