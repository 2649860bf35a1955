# SPDX-License-Identifier: Apache-2.0
"""What an administrator makes ready with the portal before there can be guests."""

from __future__ import annotations

from tests.lab.lab import Lab
from tests.portal.browser import Portal

POOL, NETWORK = "portal", "office"
IMAGE, MEDIA = "tiny", "tinyiso"


class Resources:
    """Pools, cells and images."""

    def __init__(self, portal: Portal, lab: Lab) -> None:
        self.portal = portal
        self.lab = lab

    def address_pool(self) -> None:
        """With a range."""
        portal = self.portal
        portal.go("/admin/address_pools")
        portal.press("Create Address Pool")
        portal.fill("Name", NETWORK)
        portal.fill("Gateway", "192.168.77.1")
        portal.fill("DNS1", "192.168.77.1")
        portal.picture("address-pool-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees(NETWORK)
        portal.press_icon("Detail", NETWORK)
        portal.press("Add Address Range")
        portal.fill("Start Address", "192.168.77.10")
        portal.fill("End Address", "192.168.77.99")
        portal.fill("Netmask", "255.255.255.0")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("192.168.77.99")
        portal.picture("address-pool")

    def compute_pool(self) -> None:
        """That gives its guests addresses of the pool."""
        portal = self.portal
        portal.go("/admin/compute_pools")
        portal.press("Create Compute Pool")
        portal.fill("Pool Name", POOL)
        portal.choose("Address Pool", NETWORK)
        portal.picture("compute-pool-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees(f"pool {POOL} created")
        portal.picture("compute-pools")

    def cells(self) -> None:
        """Both, added one by one."""
        portal = self.portal
        portal.go(f"/admin/compute_cells/?pool={POOL}")
        for cell in self.lab.cells:
            portal.press("Add Compute Cell")
            portal.choose("Cell Name", cell.name)
            portal.picture(f"cell-add-{cell.name}")
            portal.press("Confirm")
            portal.dialog_closes()
            portal.page.locator("tr").filter(has_text=cell.name).first.wait_for()
        portal.page.locator('[title="Online"]').nth(1).wait_for()
        portal.picture("cells")
        portal.press_icon("Detail", self.lab.cells[0].name)
        portal.sees(self.lab.cells[0].address)
        portal.picture("cell-detail")
        for path in ("dashboard", "dashboard/pools", f"dashboard/pools/{POOL}"):
            portal.go(f"/admin/{path}")
            portal.page.wait_for_timeout(5000)  # two rounds of figures
            portal.picture(path.replace("/", "-"))

    def images(self) -> None:
        """A disk image and a medium, uploaded."""
        portal = self.portal
        uploads = (
            ("disk_images", "Upload New Disk Image", IMAGE, self.lab.image_agent_qcow2),
            ("media_images", "Upload New ISO", MEDIA, self.lab.image_iso),
        )
        for path, button, name, file in uploads:
            portal.go(f"/admin/{path}")
            portal.press(button)
            portal.fill("Image Name", name)
            portal.fill("Description", "boots in seconds")
            portal.tick("Linux")
            portal.attach("Image File", file)
            portal.picture(f"{path.replace('_', '-')}-upload")
            portal.press("Upload")
            portal.dialog_closes()
            portal.sees(name)
            portal.sees(" MB")
            portal.picture(path.replace("_", "-"))

    def policy_group(self) -> None:
        """Of security rules."""
        portal = self.portal
        portal.go("/admin/security_policies")
        portal.press("Create New Group")
        portal.fill("Name", "web_servers")
        portal.picture("policy-group-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("web_servers")
