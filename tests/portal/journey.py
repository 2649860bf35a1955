# SPDX-License-Identifier: Apache-2.0
"""What an administrator does with the portal, from a system that nobody has used to its log."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.lab import Lab
from tests.portal.accounts import Accounts
from tests.portal.browser import Portal
from tests.portal.guests import Guests
from tests.portal.resources import Resources

#: Path below /admin → what only its screen shows.
MENUS = {
    "dashboard": "System start at",
    "compute_pools": "Create Compute Pool",
    "address_pools": "Create Address Pool",
    "storage_pools": "Create Storage Pool",
    "instances": "Cloud Instances",
    "disk_images": "Upload New Disk Image",
    "media_images": "Upload New ISO",
    "system_templates": "Create System Template",
    "security_policies": "Security Policy Groups",
    "users": "Create New User",
    "logs": "Log Duration",
    "visibilities": "Disk Images Visible",
}


class Journey:
    """The steps, in order. Each leaves pictures."""

    def __init__(self, portal: Portal, lab: Lab) -> None:
        self.portal = portal
        self.resources = Resources(portal, lab)
        self.guests = Guests(portal, lab)
        self.accounts = Accounts(portal)

    def steps(self, begin: str | None = None) -> list[Callable[[], None]]:
        """All of it, or what comes from a step on, after a login where that needs one."""
        resources, guests, accounts = self.resources, self.guests, self.accounts
        steps = [
            accounts.first_start,
            accounts.login,
            self.menus,
            resources.address_pool,
            resources.compute_pool,
            resources.cells,
            resources.images,
            resources.policy_group,
            guests.create,
            guests.power_and_details,
            guests.console,
            guests.address,
            guests.media,
            guests.stop,
            guests.security,
            guests.snapshots,
            guests.migrate,
            guests.image_of_guest,
            guests.modify,
            guests.bare_guest,
            guests.batch,
            guests.search,
            accounts.users,
            accounts.roles_and_groups,
            accounts.visibility,
            accounts.logs,
            self.menus_with_content,
            guests.lost,
            accounts.member_login,
        ]
        if begin is None:
            return steps
        names = [step.__name__ for step in steps]
        first = names.index(begin)
        if first <= steps.index(accounts.login):
            return steps[first:]
        return [accounts.login, *steps[first:]]

    def menus(self) -> None:
        """Every screen opens on a system that has nothing yet."""
        self._open_all("empty")

    def menus_with_content(self) -> None:
        """And again now."""
        self._open_all("full")

    def _open_all(self, name: str) -> None:
        for path, text in MENUS.items():
            self.portal.go(f"/admin/{path}")
            self.portal.sees(text)
            self.portal.picture(f"{name}-{path.replace('_', '-')}")
