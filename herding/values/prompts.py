"""Prompts with their versions, labels, drafts and files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from herding.values.calls import Parameters
from herding.values.records import PromptStats


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """A prompt as a person sees it.

    `body` is its text as YAML; `served` maps each target model to the nodes that serve it now. `content` is the prompt
    in the words of its file without a label, `version` the number of that; `newest` is the newest number, `labels` are
    the numbers that labels stand for, and `label` the first of them that stands for this version. `roles` are the only
    ones that may see it, None for all; `cors` are the origins of the web pages that may run it. `text` is what its file
    holds, without a label, where that is this version.
    """

    key: str
    name: str
    description: str
    tags: tuple[str, ...]
    label: str
    chat: bool
    target_models: tuple[str, ...]
    variables: Mapping[str, Any]
    body: str
    parameters: Parameters
    checks: Mapping[str, Any]
    served: Mapping[str, tuple[str, ...]]
    stats: PromptStats
    notes: tuple[str, ...] = ()
    version: int = 0
    roles: tuple[str, ...] | None = None
    cors: tuple[str, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict)
    newest: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    text: str | None = None


Source = Literal["file", "ui", "api", "import"]
"""The source of a version: the prompt's file, the editor, the API, or an imported file."""


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A version of a prompt, which never changes. `number` counts from 1; `sha256` is of `content`, in hex.

    `author` is the principal who saved it, empty where that is not known; `message` says why.
    """

    key: str
    number: int
    sha256: str
    content: str
    author: str
    message: str
    source: Source
    created_at: int


@dataclass(frozen=True, slots=True)
class Retired:
    """The deletion of a prompt; its versions stay."""

    key: str
    author: str
    at: int


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label of a prompt goes from version `previous` to `number`; None is no version.

    `undoes` is the id of the move that this one takes back. A later move has a greater id.
    """

    id: int
    key: str
    label: str
    number: int | None
    previous: int | None
    author: str
    message: str
    at: int
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """Unsaved edits of a principal on top of version `base` of a prompt; 0 is a new prompt."""

    principal: str
    key: str
    content: str
    base: int
    updated_at: int
    page: str = ""
    """The id of the open page that saved it last; empty for the API."""

    @property
    def revision(self) -> str:
        """A digest of what is stored. It changes with every change."""
        return hashlib.sha256(f"{self.base} {self.content}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SeenDraft:
    """A draft as an open page knows it.

    revision: of the draft that the page showed or saved last; None overwrites any.
    pages: the id of the page, and of the page that it replaced in its tab, whose last save may still arrive.
    """

    revision: str | None
    pages: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """The id of the page; empty without one."""
        return self.pages[0] if self.pages else ""

    def may_replace(self, stored: Draft) -> bool:
        """Return whether no other page changed the stored draft."""
        own = bool(stored.page) and stored.page in self.pages
        return own or self.revision is None or self.revision == stored.revision

    def after(self, revision: str) -> SeenDraft:
        """Return what the page knows with a newer revision; a page that overwrites any goes on to."""
        return self if self.revision is None else replace(self, revision=revision)


ANY_DRAFT = SeenDraft(None)
"""Overwrites any draft, in the name of no page."""


@dataclass(frozen=True, slots=True)
class DraftStep:
    """An earlier text of a draft. A later step has a greater `seq`."""

    seq: int
    content: str
    at: int


@dataclass(frozen=True, slots=True)
class FileState:
    """The version on which a prompt's file and the store agreed last, and the SHA-256 of the file's text then.

    `file` is where it stands in the directory of prompts. A version from before files were compared has no digest.
    """

    key: str
    number: int
    digest: str
    at: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version of a prompt that is to be saved, on top of version `base`; None: of whatever is there.

    `label` is to stand for it. `file` is how the prompt's file holds it already; the number there becomes that of the
    version.
    """

    key: str
    content: str
    author: str
    message: str
    source: Source
    at: int
    base: int | None = None
    label: str | None = None
    file: FileState | None = None


@dataclass(frozen=True, slots=True)
class PromptConflict:
    """A prompt was saved and its file edited at the same time, both on top of version `base`.

    `ours` is the version that was saved, `theirs` the one that the file gave; `digest` is the SHA-256 of the file, and
    `place` the directory that holds it.
    """

    key: str
    base: int
    ours: int
    theirs: int
    digest: str
    at: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class PromptState:
    """The state of a prompt in the store. `newest` is its newest number, `labels` are the numbers by label.

    `file` is its file in the directory of this app.
    """

    key: str
    newest: int = 0
    retired: bool = False
    labels: Mapping[str, int] = field(default_factory=dict)
    file: FileState | None = None
    conflict: PromptConflict | None = None
