# SPDX-License-Identifier: Apache-2.0
"""What cloud-init sets up in a guest: asked for at creation, kept in the guest's row."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from nano_api.cloud import Cloud
from nano_api.envelope import WireModel
from nano_api.errors import InvalidInput
from nano_api.guests.tables import Guest
from nano_api.templates.tables import SystemTemplate

MODULE = "cloud-init"
DEFAULT_DATA_PATH = "/opt/data"
ROOT = "root"
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_SECRET = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
#: Nano's length of an administrator's password that nobody chose.
_SECRET_LENGTH = 10


class CloudInitIn(WireModel):
    """What cloud-init is to do. Without any of it, root may log in."""

    root_enabled: bool = False
    admin_name: str = Field(default="", description="by default the template's")
    admin_secret: str = Field(default="", description="by default a random one, told by GET …/auth")
    data_path: str = Field(
        default="", description="where the data disks are mounted; by default /opt/data"
    )


@dataclass(frozen=True)
class CloudInitSetup:
    """What was decided: ``stored`` is what the guest's row keeps beside the account."""

    admin_name: str
    admin_secret: str
    stored: dict[str, Any]


def setup_of(
    asked: CloudInitIn | None, modules: list[str], template: SystemTemplate
) -> CloudInitSetup | None:
    """None for a guest without cloud-init.

    :raises InvalidInput: it is for another system, or a field is wrong
    """
    if asked is None and MODULE not in modules:
        return None
    if template.operating_system != "linux":
        raise InvalidInput(
            f"cloud-init is for Linux; template '{template.name}' is for "
            f"{template.operating_system}",
            field="cloud_init" if asked is not None else "modules",
        )
    wanted = asked or CloudInitIn(root_enabled=True)
    name = wanted.admin_name or template.admin
    if not _ACCOUNT.fullmatch(name):
        raise InvalidInput(
            f"invalid admin_name '{name[:80]}': at most 32 letters, digits, '_', '.' and '-', the "
            "first no digit",
            field="admin_name",
        )
    if wanted.admin_secret and not _SECRET.fullmatch(wanted.admin_secret):
        raise InvalidInput(
            "invalid admin_secret: 1 to 128 printable ASCII characters, no space at its ends",
            field="admin_secret",
        )
    path = wanted.data_path or DEFAULT_DATA_PATH
    if not _PATH.fullmatch(path) or len(path) > 255:
        raise InvalidInput(
            f"invalid data_path '{path[:80]}': an absolute path of letters, digits, '_', '.', '-'",
            field="data_path",
        )
    return CloudInitSetup(
        admin_name=name,
        admin_secret=wanted.admin_secret or new_admin_secret(),
        stored={"root_enabled": wanted.root_enabled, "data_path": path},
    )


def new_admin_secret() -> str:
    """A password for a guest's administrator."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(_SECRET_LENGTH))


def module_options(
    cloud: Cloud, guest: Guest, network: dict[str, Any] | None
) -> tuple[dict[str, Any], str]:
    """The option ``cloud_init`` of ``nano.cloud.guest``, and the secret that is among it.

    ``network`` is the card's static configuration; None: it asks by DHCP.
    """
    secret = cloud.secrets.open(guest.admin_secret_sealed or "")
    root_enabled = bool(guest.cloud_init["root_enabled"])
    users: list[dict[str, Any]] = [
        {"name": guest.admin_name, "password": secret, "sudo": guest.admin_name != ROOT}
    ]
    if root_enabled and guest.admin_name != ROOT:
        users.append({"name": ROOT, "password": secret})
    options: dict[str, Any] = {
        "hostname": host_name(guest.name),
        "users": users,
        "root_enabled": root_enabled,
        "ssh_pwauth": True,
    }
    if network is not None:
        options["network"] = network
    if len(guest.disks) > 1:
        options["data_path"] = guest.cloud_init["data_path"]
    return options, secret


def host_name(name: str) -> str:
    """Of ``group.name`` the name, as a host may be called."""
    return name.rpartition(".")[2].replace("_", "-").strip("-") or "guest"
