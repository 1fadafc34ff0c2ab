"""The tables of prompts: versions, labels, files on disk, and drafts."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text
from sqlmodel import Field

from herding.store.tables import Base


class PromptVersionRow(Base, table=True):
    """A numbered version of a prompt; never changed once written. `sha256` is of `content`, in hex."""

    __tablename__ = "prompt_version"

    key: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    sha256: str
    content: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    author: str
    message: str = Field(sa_type=Text)
    source: str


class PromptRetiredRow(Base, table=True):
    """A deleted prompt. Its versions stay."""

    __tablename__ = "prompt_retired"
    __table_args__ = ({"sqlite_with_rowid": False},)

    key: str = Field(primary_key=True)
    author: str
    at: int = Field(sa_type=BigInteger)


class PromptLabelRow(Base, table=True):
    """The current version of a label of a prompt."""

    __tablename__ = "prompt_label"
    __table_args__ = (
        ForeignKeyConstraint(["key", "number"], ["prompt_version.key", "prompt_version.number"]),
        {"sqlite_with_rowid": False},
    )

    key: str = Field(primary_key=True)
    label: str = Field(primary_key=True)
    number: int
    author: str
    at: int = Field(sa_type=BigInteger)


class PromptLabelMoveRow(Base, table=True):
    """A move of a label from version `previous` to `number`; null is no version. Rows are only appended.

    `undoes` is the id of the move that this one undoes.
    """

    __tablename__ = "prompt_label_move"
    __table_args__ = (
        Index("ix_prompt_label_move_key", "key", "label", "id"),
        Index("ix_prompt_label_move_undoes", "undoes"),
    )

    id: int = Field(primary_key=True)
    key: str
    label: str
    number: int | None
    previous: int | None
    author: str
    message: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    undoes: int | None


class PromptFileRow(Base, table=True):
    """The version on which a prompt's file and the store agreed last; `digest` is the SHA-256 of the file's text.

    `place` is the directory of the file: apps on one database may have directories of their own.
    """

    __tablename__ = "prompt_file"
    __table_args__ = ({"sqlite_with_rowid": False},)

    key: str = Field(primary_key=True)
    number: int
    digest: str
    at: int = Field(sa_type=BigInteger)
    file: str
    place: str = Field(primary_key=True, sa_column_kwargs={"server_default": ""})


class PromptConflictRow(Base, table=True):
    """A prompt that was saved while its file was edited, until a user chooses the version to keep."""

    __tablename__ = "prompt_conflict"
    __table_args__ = ({"sqlite_with_rowid": False},)

    key: str = Field(primary_key=True)
    base: int
    ours: int
    theirs: int
    digest: str
    at: int = Field(sa_type=BigInteger)
    place: str = Field(sa_column_kwargs={"server_default": ""})


class DraftRow(Base, table=True):
    """An unsaved change of a principal to version `base` of a prompt; 0 is a new prompt."""

    __tablename__ = "draft"
    __table_args__ = (Index("ix_draft_key", "key", "updated_at", "principal"),)

    principal: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    base: int
    updated_at: int = Field(sa_type=BigInteger)
    content: str = Field(sa_type=Text)
    page: str = Field(sa_column_kwargs={"server_default": ""})


class DraftStepRow(Base, table=True):
    """An earlier text of a draft, to go back to."""

    __tablename__ = "draft_step"

    principal: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    at: int = Field(sa_type=BigInteger)
    content: str = Field(sa_type=Text)


prompt_version = Base.metadata.tables["prompt_version"]
prompt_retired = Base.metadata.tables["prompt_retired"]
prompt_label = Base.metadata.tables["prompt_label"]
prompt_label_move = Base.metadata.tables["prompt_label_move"]
prompt_file = Base.metadata.tables["prompt_file"]
prompt_conflict = Base.metadata.tables["prompt_conflict"]
draft = Base.metadata.tables["draft"]
draft_step = Base.metadata.tables["draft_step"]
