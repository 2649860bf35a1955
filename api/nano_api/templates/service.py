# SPDX-License-Identifier: Apache-2.0
"""System templates. Nothing here commits."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from nano_api.clock import now
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.templates.tables import SystemTemplate

from ansible_collections.nano.cloud.plugins.module_utils.names import check_text  # isort: skip

#: Field → the values that it may have; ``""`` is none.
CHOICES = {
    "operating_system": ("linux", "windows"),
    "disk": ("scsi", "sata", "ide"),
    "network": ("virtio", "e1000", "rtl8139"),
    "display": ("vga", "cirrus", "qxl", "virtio", "none"),
    "control": ("vnc", "spice"),
    "usb": ("", "nec-xhci"),
    "tablet": ("", "usb", "virtio"),
}
_MAX_NAME_LENGTH = 128
_ADMIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class TemplateChoices:
    """What a client wants a template to be."""

    name: str
    admin: str
    operating_system: str
    disk: str
    network: str
    display: str
    control: str
    usb: str
    tablet: str


# Nano's own five. The ids are ours and stay the same everywhere, so that scripts can name them.
_FIELDS = (
    "id",
    "name",
    "admin",
    "operating_system",
    "disk",
    "network",
    "display",
    "control",
    "usb",
    "tablet",
)
_LINUX = ("root", "linux")
_WINDOWS = ("Administrator", "windows")
_VNC_WITH_USB = ("vga", "vnc", "nec-xhci", "usb")
_DEFAULTS = (
    ("centos-7", "CentOS 7", *_LINUX, "scsi", "virtio", *_VNC_WITH_USB),
    ("centos-6", "CentOS 6", *_LINUX, "sata", "virtio", *_VNC_WITH_USB),
    ("windows-server-2012", "Windows Server 2012", *_WINDOWS, "sata", "e1000", *_VNC_WITH_USB),
    ("general", "General", *_LINUX, "sata", "rtl8139", "vga", "vnc", "", "usb"),
    ("legacy", "Legacy", *_LINUX, "ide", "rtl8139", "cirrus", "vnc", "", ""),
)


def add_defaults(session: Session) -> None:
    """Put in the default templates when there is no template at all."""
    if session.scalar(select(exists().select_from(SystemTemplate))):
        return
    moment = now()
    session.add_all(
        SystemTemplate(
            **dict(zip(_FIELDS, values, strict=True)), created_at=moment, modified_at=moment
        )
        for values in _DEFAULTS
    )
    session.flush()


def list_templates(session: Session) -> Sequence[SystemTemplate]:
    """All templates, by name."""
    return session.scalars(select(SystemTemplate).order_by(SystemTemplate.name)).all()


def get_template(session: Session, template_id: str) -> SystemTemplate:
    """One template.

    :raises NotFound: there is no such template
    """
    template = session.get(SystemTemplate, template_id)
    if template is None:
        raise NotFound(f"invalid template '{template_id[:80]}'", template=template_id[:80])
    return template


def create(session: Session, choices: TemplateChoices) -> SystemTemplate:
    """A new template.

    :raises InvalidInput: a field is missing or has a value that it may not have
    :raises Conflict: the name is taken
    """
    _check(choices)
    _check_name_is_free(session, choices.name)
    moment = now()
    template = SystemTemplate(
        id=_new_id(), **asdict(choices), created_at=moment, modified_at=moment
    )
    session.add(template)
    session.flush()
    return template


def change(session: Session, template_id: str, choices: TemplateChoices) -> None:
    """Replace all choices; guests that were made by the template keep theirs.

    :raises NotFound: there is no such template
    :raises InvalidInput: a field is missing or has a value that it may not have
    :raises Conflict: the new name is taken
    """
    template = get_template(session, template_id)
    _check(choices)
    if choices.name != template.name:
        _check_name_is_free(session, choices.name)
    for field, value in asdict(choices).items():
        setattr(template, field, value)
    template.modified_at = now()


def delete(session: Session, template_id: str) -> None:
    """Delete a template; guests that were made by it keep their devices.

    :raises NotFound: there is no such template
    """
    session.delete(get_template(session, template_id))
    session.flush()


def _check(choices: TemplateChoices) -> None:
    if not choices.name.strip():
        raise InvalidInput("name required", field="name")
    check_text(choices.name, "name", limit=_MAX_NAME_LENGTH)
    if not _ADMIN.fullmatch(choices.admin):
        raise InvalidInput(
            f"invalid admin '{choices.admin[:80]}': use 1 to 64 letters, digits, '_', '.' and '-'",
            field="admin",
        )
    for field, allowed in CHOICES.items():
        value = getattr(choices, field)
        if value not in allowed:
            names = ", ".join(f"'{name}'" for name in allowed)
            raise InvalidInput(f"invalid {field} '{value[:80]}': use one of {names}", field=field)


def _check_name_is_free(session: Session, name: str) -> None:
    if session.scalar(select(SystemTemplate.id).where(SystemTemplate.name == name)):
        raise Conflict(f"template '{name}' already exists", field="name")


def _new_id() -> str:
    """20 characters as Nano's ids have: the time, so that they sort by it, and 8 random bytes."""
    raw = int(time.time()).to_bytes(4, "big") + secrets.token_bytes(8)
    return base64.b32hexencode(raw).decode().rstrip("=").lower()
