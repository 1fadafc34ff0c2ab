"""Permissions on prompts and their versions."""

from __future__ import annotations

from herding.access.operations import ADMINISTER, PROMPTS, PUBLISH, SAVE
from herding.access.role_file import Roles
from herding.access.roles import allows_all, has_role, require
from herding.errors import AccessError, ConflictError, HerdingError, NotFoundError, UserError
from herding.prompts.model import Prompt, prompt_not_found
from herding.studio.catalog import Visibility
from herding.studio.version_cache import NEWEST, PROD, Head, RunnableVersion, VersionCache
from herding.values import Principal


class PromptPermissions:
    """Checks permissions on the prompts of a version cache.

    The right `save` allows saving versions and moving labels. The right `publish` is needed for the label prod, for
    prompts that web pages may call, for aliases, for the roles of a prompt that somebody else created, and for deleting
    a prompt. All of these need a role that may use every version of the prompt.
    """

    def __init__(self, version_cache: VersionCache, roles: Roles) -> None:
        self._version_cache, self._roles = version_cache, roles
        self.visibility = Visibility(version_cache)

    async def require_visible(self, key: str, who: Principal) -> tuple[RunnableVersion, Head]:
        """Return the newest version and the head of a prompt, as far as `who` may see them. Raises NotFoundError."""
        found = await self.visibility.head(key, who)
        if found is None:
            raise prompt_not_found(key)
        return found

    async def require_changeable(self, key: str, who: Principal) -> tuple[RunnableVersion, Head]:
        """Return the newest version and the head of a prompt. Raises NotFoundError and AccessError."""
        found = await self.require_visible(key, who)
        if not allows_all(who.prompts, key):
            raise AccessError(f"The role '{who.role}' may only use some versions of this prompt.", param="key")
        return found

    async def can_see(self, key: str, who: Principal) -> bool:
        """Return whether `who` may see a prompt, that is, any version of it."""
        return await self.visibility.live(key, who) is not None

    async def check_overwrite(self, key: str, old: RunnableVersion | None, who: Principal) -> None:
        """Raise AccessError if `who` may not save a new version of an existing prompt."""
        if old is None:
            return
        if not (await self.can_see(key, who) and has_role(who, old.prompt.roles)):
            raise AccessError(f"The role '{who.role}' can't save this prompt. Choose another prompt ID.", param="key")
        if old.prompt.cors:
            require(who, PUBLISH)

    def check_content(self, prompt: Prompt, who: Principal) -> None:
        """Raise AccessError or UserError if `who` may not save a prompt with this content."""
        if prompt.file_label == PROD or prompt.cors:
            require(who, PUBLISH)
        known = self._roles.names
        for role in prompt.roles or ():
            if role not in known:
                raise UserError(f"Role '{role}' not found. Roles: {', '.join(known)}.", param="roles")
        if prompt.roles and who.role not in prompt.roles and ADMINISTER not in who.rights:
            raise UserError(f"You could not see this prompt any more. Add your role '{who.role}'.", param="roles")

    async def check_changes(self, key: str, prompt: Prompt, old: RunnableVersion | None, who: Principal) -> None:
        """Raise AccessError or ConflictError if `who` may not set the alias and the roles of a prompt."""
        before = old.prompt if old else None
        if prompt.alias != (before.alias if before else None):
            if PUBLISH not in who.rights:
                message = f"The role '{who.role}' can't change an alias: it lacks the right '{PUBLISH}'. Ask an admin."
                raise AccessError(message, param="alias")
            await self.check_alias(key, prompt, who)
        if before and prompt.roles != before.roles and PUBLISH not in who.rights:
            first = await self._version_cache.author_of(key, 1)
            if first != who.id:
                message = f"The role '{who.role}' can't change the roles of a prompt that somebody else created."
                raise AccessError(message, param="roles")

    async def check_alias(self, key: str, prompt: Prompt, who: Principal) -> None:
        """Raise ConflictError if the alias of a prompt is the one of another prompt."""
        holder = await self._version_cache.alias_holder(prompt.alias.path, key) if prompt.alias else None
        if prompt.alias and holder:
            whose = f"the prompt '{holder}'" if await self.can_see(holder, who) else "another prompt"
            message = f"{prompt.alias.path} is the alias of {whose}. Choose another path."
            raise ConflictError(message, param="alias")

    async def get_version(self, key: str, number: int, who: Principal) -> RunnableVersion:
        """Return a version of a prompt. Raises NotFoundError unless `who` may see it."""
        edition = await self._version_cache.get(key, number)
        if edition is None or not self.visibility.may_see(edition, who):
            raise version_not_found(key, number)
        return edition

    async def can_see_version(self, key: str, number: int, who: Principal) -> bool:
        """Return whether a version can be read and `who` may see it."""
        try:
            await self.get_version(key, number, who)
        except HerdingError:
            return False
        return True

    def check_label(self, label: str, who: Principal) -> None:
        """Raise AccessError if `who` may not move a label, UserError if it cannot be moved."""
        require(who, PROMPTS)
        require(who, PUBLISH if label == PROD else SAVE)
        if label == NEWEST:
            raise UserError("'newest' is always the newest version. Choose another label.", param="label")

    async def check_label_target(self, key: str, head: Head, number: int | None, who: Principal) -> None:
        """Raise NotFoundError if `who` may not see the version that a label moves to. None removes the label."""
        if number is not None and (number > head.newest or not await self.can_see_version(key, number, who)):
            raise version_not_found(key, number, param="number")


def version_not_found(key: str, number: int, *, param: str = "version") -> NotFoundError:
    """Return the error for a version that does not exist, or that the caller may not see."""
    return NotFoundError(f"Prompt '{key}' has no version {number}.", param=param)
