# SPDX-License-Identifier: Apache-2.0
"""Accounts: roles, groups, users and who belongs where. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.users.names import check_account_name, check_display, check_menu
from nano_api.users.tables import Role, User, UserGroup, UserGroupMember, UserGroupRole

#: The menu whose holders may change accounts.
ACCOUNTS_MENU = "user"

#: No group may be called so: ``/user_groups/members/`` is a path of its own.
_RESERVED_GROUP = "members"


def any_user(session: Session) -> bool:
    """Whether the system has been initialised: it has a user."""
    return session.scalar(select(exists().select_from(User))) or False


def create_role(session: Session, name: str, menu: Sequence[str]) -> None:
    """A new role with its menus.

    :raises InvalidInput: the name or a menu breaks the rule
    :raises Conflict: the name is taken
    """
    check_account_name(name, "role")
    entries = check_menu(menu)
    if session.get(Role, name):
        raise Conflict(f"role '{name}' already exists", role=name)
    session.add(Role(name=name, menu=entries))
    session.flush()


def list_roles(session: Session) -> list[str]:
    """The names of all roles, sorted."""
    return list(session.scalars(select(Role.name).order_by(Role.name)))


def get_role(session: Session, name: str) -> Role:
    """:raises NotFound: there is no such role"""
    role = session.get(Role, name)
    if role is None:
        raise NotFound(f"role '{name[:80]}' not exists", role=name[:80])
    return role


def change_role(session: Session, name: str, menu: Sequence[str]) -> None:
    """Replace a role's menus; live sessions follow at once.

    :raises NotFound: there is no such role
    :raises InvalidInput: a menu breaks the rule
    :raises Conflict: nobody could change accounts any more
    """
    role = get_role(session, name)
    entries = check_menu(menu)
    with _keeping_somebody_in_charge(session):
        role.menu = entries


def delete_role(session: Session, name: str) -> None:
    """Delete a role that no group has.

    :raises NotFound: there is no such role
    :raises Conflict: a group has it
    """
    role = get_role(session, name)
    holders = select(UserGroupRole.group).where(UserGroupRole.role == name)
    group = session.scalar(holders.order_by(UserGroupRole.group))
    if group:
        raise Conflict(f"role '{name}' attached with group '{group}'", role=name, group=group)
    session.delete(role)
    session.flush()


def create_group(session: Session, name: str, display: str, roles: Sequence[str]) -> None:
    """A new group that has these roles.

    :raises InvalidInput: the name or the text breaks the rule, or a role does not exist
    :raises Conflict: the name is taken
    """
    check_account_name(name, "group")
    if name == _RESERVED_GROUP:
        raise InvalidInput(f"invalid group '{name}': the word is part of a path", field="group")
    check_display(display)
    if session.get(UserGroup, name):
        raise Conflict(f"group '{name}' already exists", group=name)
    _check_roles(session, roles)
    session.add(UserGroup(name=name, display=display))
    session.flush()
    _give_roles(session, name, roles)


def list_groups(session: Session) -> list[tuple[UserGroup, int]]:
    """All groups by name, each with the number of its members."""
    rows = session.execute(
        select(UserGroup, func.count(UserGroupMember.user))
        .outerjoin(UserGroupMember, UserGroupMember.group == UserGroup.name)
        .group_by(UserGroup.name)
        .order_by(UserGroup.name)
    )
    return [(group, count) for group, count in rows]


def get_group(session: Session, name: str) -> UserGroup:
    """:raises NotFound: there is no such group"""
    group = session.get(UserGroup, name)
    if group is None:
        raise NotFound(f"group '{name[:80]}' not exists", group=name[:80])
    return group


def roles_of(session: Session, group: str) -> list[str]:
    """The names of a group's roles, sorted."""
    rows = select(UserGroupRole.role).where(UserGroupRole.group == group)
    return list(session.scalars(rows.order_by(UserGroupRole.role)))


def members_of(session: Session, group: str) -> list[str]:
    """The users in a group, sorted.

    :raises NotFound: there is no such group
    """
    get_group(session, group)
    rows = select(UserGroupMember.user).where(UserGroupMember.group == group)
    return list(session.scalars(rows.order_by(UserGroupMember.user)))


def change_group(session: Session, name: str, display: str, roles: Sequence[str]) -> None:
    """Replace a group's text and its roles; live sessions follow at once.

    :raises NotFound: there is no such group
    :raises InvalidInput: the text breaks the rule, or a role does not exist
    :raises Conflict: nobody could change accounts any more
    """
    group = get_group(session, name)
    check_display(display)
    _check_roles(session, roles)
    with _keeping_somebody_in_charge(session):
        group.display = display
        session.execute(delete(UserGroupRole).where(UserGroupRole.group == name))
        _give_roles(session, name, roles)


def delete_group(session: Session, name: str) -> None:
    """Delete a group that nobody is in.

    :raises NotFound: there is no such group
    :raises Conflict: it has members
    """
    group = get_group(session, name)
    members = members_of(session, name)
    if members:
        raise Conflict(f"member '{members[0]}' attached with group '{name}'", group=name)
    session.delete(group)
    session.flush()


def create_user(
    session: Session, name: str, password_hash: str, *, nick: str = "", mail: str = ""
) -> None:
    """A new user in no group. ``password_hash`` comes from ``passwords.hash_password``.

    :raises InvalidInput: the name or a text breaks the rule
    :raises Conflict: the name is taken
    """
    check_account_name(name, "user")
    check_display(nick, "nick")
    check_display(mail, "mail")
    if session.get(User, name):
        raise Conflict(f"user '{name}' already exists", user=name)
    session.add(
        User(name=name, nick=nick, mail=mail, password_hash=password_hash, created_at=now())
    )
    session.flush()


def join_group(session: Session, user: str, group: str) -> None:
    """Put a user into a group; a user is in one at most.

    :raises NotFound: there is no such user or group
    :raises Conflict: the user is in a group already
    """
    get_user(session, user)
    get_group(session, group)
    member = session.get(UserGroupMember, user)
    if member:
        raise Conflict(f"user '{user}' already joined group '{member.group}'", user=user)
    session.add(UserGroupMember(user=user, group=group))
    session.flush()


def leave_group(session: Session, user: str, group: str) -> None:
    """Take a user out of a group; its live sessions may do nothing any more.

    :raises NotFound: there is no such user or group, or the user is not in it
    :raises Conflict: nobody could change accounts any more
    """
    get_user(session, user)
    get_group(session, group)
    member = session.get(UserGroupMember, user)
    if member is None or member.group != group:
        raise NotFound(f"user '{user}' not in group '{group}'", user=user, group=group)
    with _keeping_somebody_in_charge(session):
        session.delete(member)


def list_users(session: Session) -> list[str]:
    """The names of all users, sorted."""
    return list(session.scalars(select(User.name).order_by(User.name)))


def users_without_group(session: Session) -> list[str]:
    """The names of the users that are in no group, sorted."""
    somewhere = select(UserGroupMember.user)
    rows = select(User.name).where(User.name.not_in(somewhere))
    return list(session.scalars(rows.order_by(User.name)))


def get_user(session: Session, name: str) -> User:
    """:raises NotFound: there is no such user"""
    user = session.get(User, name)
    if user is None:
        raise NotFound(f"invalid user '{name[:80]}'", user=name[:80])
    return user


def change_user(session: Session, name: str, *, nick: str, mail: str) -> None:
    """Change the texts that are given; empty means unchanged.

    :raises NotFound: there is no such user
    :raises InvalidInput: a text breaks the rule
    """
    user = get_user(session, name)
    user.nick = check_display(nick, "nick") or user.nick
    user.mail = check_display(mail, "mail") or user.mail


def set_password(session: Session, name: str, password_hash: str) -> None:
    """Store a new hash. Whoever calls this ends the user's sessions too.

    :raises NotFound: there is no such user
    """
    get_user(session, name).password_hash = password_hash


def delete_user(session: Session, name: str) -> None:
    """Delete a user; it leaves its group, and its sessions and tokens end.

    :raises NotFound: there is no such user
    :raises Conflict: it is the only one, or nobody else could change accounts
    """
    user = get_user(session, name)
    with _keeping_somebody_in_charge(session):
        member = session.get(UserGroupMember, name)
        if member:
            session.delete(member)
            session.flush()
        session.delete(user)
        session.flush()
        if not any_user(session):
            # A system without users can be initialised by whoever comes first.
            raise Conflict(f"user '{name}' is the only one; make another first", user=name)


def password_hash_of(session: Session, user: str) -> str | None:
    """The stored hash, None for an unknown user: ``passwords.password_matches`` takes both."""
    return session.scalar(select(User.password_hash).where(User.name == user))


def group_of(session: Session, user: str) -> str | None:
    """The group that the user is in."""
    return session.scalar(select(UserGroupMember.group).where(UserGroupMember.user == user))


def menus_of(session: Session, group: str) -> list[str]:
    """The menus of all roles of a group, each once, in the order of the roles' names."""
    roles = session.scalars(
        select(Role)
        .join(UserGroupRole, UserGroupRole.role == Role.name)
        .where(UserGroupRole.group == group)
        .order_by(Role.name)
    )
    return list(dict.fromkeys(entry for role in roles for entry in role.menu))


def _check_roles(session: Session, roles: Sequence[str]) -> None:
    for role in roles:
        if not session.get(Role, role):
            raise InvalidInput(f"invalid role '{role[:80]}'", role=role[:80])


def _give_roles(session: Session, group: str, roles: Sequence[str]) -> None:
    session.add_all(UserGroupRole(group=group, role=role) for role in dict.fromkeys(roles))
    session.flush()


@contextmanager
def _keeping_somebody_in_charge(session: Session) -> Iterator[None]:
    """Refuse a change after which nobody could change accounts: only a way back by hand is left."""
    before = _somebody_is_in_charge(session)
    yield
    session.flush()
    if before and not _somebody_is_in_charge(session):
        raise Conflict(
            f"nobody would be left who may change accounts (menu '{ACCOUNTS_MENU}');"
            " give it to somebody else first"
        )


def _somebody_is_in_charge(session: Session) -> bool:
    held = session.scalars(
        select(Role.menu)
        .join(UserGroupRole, UserGroupRole.role == Role.name)
        .join(UserGroupMember, UserGroupMember.group == UserGroupRole.group)
    )
    return any(ACCOUNTS_MENU in menu for menu in held)
