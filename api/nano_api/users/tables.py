# SPDX-License-Identifier: Apache-2.0
"""Users, the groups they are in, and the roles that give a group its menus."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class Role(Base):
    """A named list of portal menus."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(primary_key=True)
    menu: Mapped[list[str]]


class UserGroup(Base):
    """Users that share roles, and what each other's flags make visible."""

    __tablename__ = "user_groups"

    name: Mapped[str] = mapped_column(primary_key=True)
    display: Mapped[str] = mapped_column(default="")


class UserGroupRole(Base):
    """A role that a group has. A role cannot go while a group has it."""

    __tablename__ = "user_group_roles"

    group: Mapped[str] = mapped_column(
        ForeignKey("user_groups.name", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(ForeignKey("roles.name"), primary_key=True, index=True)


class User(Base):
    """An account. The password is kept only as an argon2id hash."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    nick: Mapped[str] = mapped_column(default="")
    mail: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str]
    created_at: Mapped[datetime]


class UserGroupMember(Base):
    """Who is in which group: the user is the key, so nobody is in two."""

    __tablename__ = "user_group_members"

    user: Mapped[str] = mapped_column(
        ForeignKey("users.name", ondelete="CASCADE"), primary_key=True
    )
    group: Mapped[str] = mapped_column(ForeignKey("user_groups.name"), index=True)
