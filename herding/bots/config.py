"""The file of the Discord bot: which prompt responds in which channel, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from herding import yaml_files
from herding.errors import ConfigError
from herding.yaml_files import StrictModel

Snowflake = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
"""An id of Discord, as a text: YAML keys are texts."""

Name = Annotated[str, Field(min_length=1, max_length=300)]


class ChannelEntry(StrictModel):
    """The settings of one channel and its threads; what is not given is as at the top of the file.

    `prompt` is `id`, `id@version` or `id@label`. `variable` gets the text of the message, by default the one that looks
    like it. `variables` are fixed values of others. `collection` replaces the one that the prompt retrieves from.
    With `threads`, a mention starts a thread, whose messages all go to the bot. Without `enabled`, the bot is silent.
    """

    prompt: Name | None = None
    variable: Name | None = None
    variables: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    collection: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    threads: bool | None = None
    enabled: bool = True


class DiscordFile(ChannelEntry):
    """The whole file.

    `collection_prompt` is the prompt of `/ask` with a collection. `role` is the role of Discord's users, `roles` those
    of users with a role on the server, by its id; the first that fits counts. `servers` are those that the bot serves,
    None for all. `message_content` asks Discord for the text of messages that do not mention the bot. After a pause,
    messages of the last `catch_up_hours` get their response.
    """

    prompt: Name = "chat"
    collection_prompt: Name = "collection_question"
    threads: bool = True
    role: Name = "guest"
    roles: dict[Snowflake, Name] = Field(default_factory=dict)
    servers: list[Snowflake] | None = None
    direct_messages: bool = False
    message_content: bool = True
    catch_up_hours: Annotated[float, Field(ge=0, le=72)] = 24
    channels: dict[Snowflake, ChannelEntry] = Field(default_factory=dict)

    def channel(self, *ids: int | None) -> ChannelEntry:
        """Return what holds in the first of the channels that has an entry: a thread, then its channel."""
        found = next((self.channels[str(id)] for id in ids if str(id) in self.channels), ChannelEntry())
        own_prompt = found.prompt is not None
        return ChannelEntry(
            prompt=found.prompt or self.prompt,
            variable=found.variable or (None if own_prompt else self.variable),
            variables=found.variables or ({} if own_prompt else self.variables),
            collection=found.collection or (None if own_prompt else self.collection),
            threads=self.threads if found.threads is None else found.threads,
            enabled=self.enabled and found.enabled,
        )

    def serves(self, server: int | None) -> bool:
        """Return whether the bot serves a server; None stands for direct messages."""
        if server is None:
            return self.direct_messages
        return self.servers is None or str(server) in self.servers

    def role_of(self, server_roles: list[int]) -> str:
        """Return the role of a user with some roles on the server."""
        return next((role for id, role in self.roles.items() if int(id) in server_roles), self.role)


def read_discord_file(path: Path, roles: Sequence[str] | None = None) -> DiscordFile:
    """Return the content of the file. Blocks. Raises ConfigError with file and key, also for a role not in `roles`."""
    source = yaml_files.read(path)
    file = source.build(DiscordFile) if source.data is not None else DiscordFile()
    for key, role in (("role", file.role), *(("roles", role) for role in file.roles.values())):
        if roles is not None and role not in roles:
            raise ConfigError(f"the role '{role}' does not exist. Roles: {', '.join(roles)}", file=path, key=key)
    return file
