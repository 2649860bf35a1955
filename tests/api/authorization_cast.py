# SPDX-License-Identifier: Apache-2.0
"""People, tokens and objects for the matrix of authorisation: each may or may not use each other's.

An object's name says whose it is to whom: ``guest-staff-mate`` belongs to a mate in the group of
``staff``, ``guest-staff-own`` to ``staff``, ``guest-staff-foreign`` to somebody elsewhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nano_api.authorization import OPERATOR_MENU, Access
from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.images.tables import Image
from nano_api.jobs.tables import Job, JobLock
from nano_api.security_policies.tables import SecurityPolicyGroup
from nano_api.sessions import service as sessions
from nano_api.sessions.tables import LoginSession
from nano_api.tokens import service as tokens
from nano_api.tokens.tables import ApiToken
from nano_api.users import service as users
from nano_api.users.names import PORTAL_MENUS
from nano_api.users.passwords import hash_password
from nano_api.visibility import service as visibility
from tests.api.conftest import PASSWORD

Relation = Literal["own", "mate", "foreign"]
RELATIONS: tuple[Relation, ...] = ("own", "mate", "foreign")

ALL = frozenset(PORTAL_MENUS)
#: User → the menus of its group, which is called as the user.
CAST: dict[str, frozenset[str]] = {
    "bare": frozenset({"none"}),
    "staff": ALL - {OPERATOR_MENU},
    "closed": ALL - {OPERATOR_MENU},  # its group does not show what its members have
    "operator": ALL,
    "other": ALL - {OPERATOR_MENU},
}


class Cast:
    """Everybody's credentials, and everything they have."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.sessions: dict[str, str] = {}
        self._tokens: dict[frozenset[str], str] = {}
        self._ports = iter(range(1, 5000))
        hashed = hash_password(PASSWORD)
        with cloud.database.transaction() as session:
            for user, menu in CAST.items():
                users.create_role(session, user, sorted(menu))
                users.create_group(session, user, "", [user])
                users.create_user(session, user, hashed)
                users.join_group(session, user, user)
                shown = user != "closed"
                visibility.set_flags(
                    session, user, instance=shown, disk_image=shown, media_image=shown
                )
                self.sessions[user] = self._log_in(session, user)
            session.add(Cell(name="c1", address="192.0.2.1", pool="default"))
            session.flush()
            for kind in ("guest", "disk_image", "media_image", "policy_group", "job"):
                for user in ("bare", "staff", "closed", "operator"):
                    for relation in RELATIONS:
                        self._put(session, kind, user, relation)
            ended = self._log_in(session, "operator")
            session.get_one(LoginSession, sessions.digest_of(ended)).expires_at = now()
            old, old_token = self._new_token(session, "operator", ALL)
            old.expires_at = now() - timedelta(seconds=1)
        #: Credentials that are none (any more), as headers.
        self.strangers: list[dict[str, str]] = [
            {},
            {"Nano-Session": "made-up"},
            {"Nano-Session": ended},
            {"Authorization": f"Bearer {tokens.PREFIX}made-up"},
            {"Authorization": f"Bearer {old_token}"},
        ]

    def token(self, menu: frozenset[str]) -> tuple[str, str]:
        """(whose, a token of somebody who has these menus, limited to them)."""
        user = "operator" if OPERATOR_MENU in menu else "staff"
        if menu not in self._tokens:
            with self.cloud.database.transaction() as session:
                self._tokens[menu] = self._new_token(session, user, menu)[1]
        return user, self._tokens[menu]

    def put(self, kind: str, user: str, relation: Relation) -> str:
        """Make an object anew, or as it was, with nobody working on it; its id."""
        with self.cloud.database.transaction() as session:
            object_id = f"{kind}-{user}-{relation}"
            session.execute(delete(JobLock).where(JobLock.resource_id == object_id))
            session.execute(delete(Job).where(Job.subject_id == object_id))
            return self._put(session, kind, user, relation)

    def is_untouched(self, kind: str, object_id: str) -> bool:
        """Whether an object is there, and nobody works on it."""
        table = {"guest": Guest, "policy_group": SecurityPolicyGroup, "job": Job}.get(kind, Image)
        with self.cloud.database.reading() as session:
            row: Any = session.get(table, object_id)
            busy = select(func.count()).select_from(Job).where(Job.subject_id == object_id)
            if row is None or (kind != "job" and session.scalar(busy)):
                return False
            return kind != "job" or not row.cancel_requested

    def _log_in(self, session: Session, user: str) -> str:
        return sessions.open_session(session, user, address="", nonce="", lifetime_seconds=600)[0]

    def _new_token(self, session: Session, user: str, menu: frozenset[str]) -> tuple[ApiToken, str]:
        caller = sessions.SessionInfo(user, user, tuple(CAST[user]), address="")
        name = f"t{next(self._ports)}"
        return tokens.create(session, caller, name=name, menu=sorted(menu), days=0)

    def _put(self, session: Session, kind: str, user: str, relation: Relation) -> str:
        object_id = f"{kind}-{user}-{relation}"
        owner = user if relation == "own" else "other"
        group = "other" if relation == "foreign" else user
        common: dict[str, Any] = {"id": object_id, "owner": owner, "group": group}
        row: Any
        if kind == "guest":
            number = next(self._ports)
            row = Guest(
                **common,
                name=f"{group}.{object_id}",
                pool="default",
                cell="c1",
                cores=1,
                memory_bytes=1 << 30,
                disks=[1 << 30],
                template_id="general",
                hardware={"operating_system": "linux", "control": "vnc"},
                modules=[],
                mac=f"00:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
                display_port=5900 + number,
                monitor_secret_sealed=self.cloud.secrets.seal("secret"),
                state="created",
            )
        elif kind == "policy_group":
            row = SecurityPolicyGroup(
                **common,
                name=object_id,
                enabled=True,
                is_global=False,
                default_action="accept",
                rules=[],
            )
        elif kind == "job":
            row = Job(
                id=object_id,
                operation="guest_change",
                # A mate's job counts as the guest that it works on; own and foreign ones as jobs.
                subject_kind="guest" if relation == "mate" else "batch",
                subject_id=f"guest-{user}-mate" if relation == "mate" else object_id,
                subject_name="x",
                cells=["c1"],
                parameters={"guests": []},
                requested_by=owner,
                requested_from="",
                state="succeeded",
                ended_at=now(),
            )
        else:
            times = {"created_at": now(), "modified_at": now()}
            kinds = kind.removesuffix("_image")
            row = Image(**common, **times, kind=kinds, name=object_id, tags=[])
        session.merge(row)
        session.flush()
        return object_id


def allowed(
    access: Access, user: str, menu: frozenset[str], relation: Relation, *, token: bool = False
) -> bool:
    """What a line of the table says of somebody with these menus."""
    if access.person and token:
        return False
    if access.menus and not access.menus & menu:
        return False
    if access.operator and OPERATOR_MENU not in menu:
        return False
    if access.owned in ("user", "session"):
        return relation == "own" or "user" in menu
    return access.owned is None or may_use(access.owned, user, menu, relation)


def may_use(kind: str, user: str, menu: frozenset[str], relation: Relation) -> bool:
    """Whether an object that has an owner and a group is the caller's to use."""
    if OPERATOR_MENU in menu or relation == "own":
        return True
    return relation == "mate" and (kind == "policy_group" or user != "closed")
