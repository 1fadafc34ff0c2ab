"""Who may see which prompt, which versions of it, and change them."""

from __future__ import annotations

from herding.access.operations import ADMINISTER, PROMPTS, PUBLISH, SAVE
from herding.access.role_file import Roles
from herding.access.roles import may_see, require
from herding.errors import AccessError, HerdingError, NotFoundError, UserError
from herding.prompts.model import Prompt, prompt_not_found
from herding.studio.version_cache import NEWEST, PROD, Edition, Head, VersionCache
from herding.values import Principal


class PromptPermissions:
    """Answers for the prompts of a version_cache. `roles` are the roles there are.

    The right `save` allows to write versions and to move labels; `publish` allows what others build upon: the label
    prod, web pages that may call a prompt, and the end of a prompt.
    """

    def __init__(self, version_cache: VersionCache, roles: Roles) -> None:
        self._version_cache, self._roles = version_cache, roles

    async def seen(self, key: str, who: Principal) -> tuple[Edition, Head]:
        """The newest version and the head of a prompt that somebody may see; NotFoundError where there is none."""
        newest, head = await self._version_cache.newest(key), self._version_cache.heads.get(key)
        if newest is None or head is None or not await self.sees(key, who):
            raise prompt_not_found(key)
        return newest, head

    async def sees(self, key: str, who: Principal) -> bool:
        """Whether somebody may see a prompt: whoever may see what a key alone means."""
        head = self._version_cache.heads.get(key)
        served = await self._version_cache.edition(key, head.served) if head else None
        return served is not None and may_see(who, key, served.prompt.roles)

    async def check_old(self, key: str, old: Edition | None, who: Principal) -> None:
        """AccessError where `who` may not write over the prompt that is there."""
        if old is None:
            return
        if not (await self.sees(key, who) and may_see(who, key, old.prompt.roles)):
            raise AccessError(f"The role '{who.role}' may not save this prompt. Choose another key.", param="key")
        if old.prompt.cors:
            require(who, PUBLISH)

    def check_new(self, prompt: Prompt, who: Principal) -> None:
        """AccessError, or UserError, where `who` may not bring a prompt into this form."""
        if prompt.file_label == PROD or prompt.cors:
            require(who, PUBLISH)
        known = self._roles.names
        for role in prompt.roles or ():
            if role not in known:
                raise UserError(f"There is no role '{role}'; there are: {', '.join(known)}.", param="roles")
        if prompt.roles and who.role not in prompt.roles and ADMINISTER not in who.rights:
            raise UserError(f"This would hide the prompt from you. Add your own role '{who.role}'.", param="roles")

    async def edition(self, key: str, number: int, who: Principal) -> Edition:
        """A version that somebody may see; NotFoundError says that it is not there."""
        edition = await self._version_cache.edition(key, number)
        if edition is None or not may_see(who, key, edition.prompt.roles):
            raise no_version(key, number)
        return edition

    async def visible(self, key: str, number: int, who: Principal) -> bool:
        """Whether there is a version that somebody may see, and that can be read now."""
        try:
            await self.edition(key, number, who)
        except HerdingError:
            return False
        return True

    def check_label(self, label: str, who: Principal) -> None:
        """AccessError where somebody may not move a label, UserError for the one that nobody moves."""
        require(who, PROMPTS)
        require(who, PUBLISH if label == PROD else SAVE)
        if label == NEWEST:
            raise UserError("'newest' always is the newest version. Choose another label.", param="label")

    async def check_goal(self, key: str, head: Head, number: int | None, who: Principal) -> None:
        """NotFoundError where a label is to stand for a version that somebody may not see; None is no version."""
        if number is not None and (number > head.newest or not await self.visible(key, number, who)):
            raise no_version(key, number, param="number")


def no_version(key: str, number: int, *, param: str = "version") -> NotFoundError:
    """What is said of a version that is not there, or not for whoever asks."""
    return NotFoundError(f"There is no version {number} of the prompt '{key}'.", param=param)
