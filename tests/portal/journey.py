# SPDX-License-Identifier: Apache-2.0
"""What an administrator does with the portal, from a system that nobody has used to its log."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from tests.lab.lab import Lab
from tests.portal.browser import Portal, Troubles
from tests.portal.display import lit_pixels, wait_for_text_on

USER, PASSWORD = "admin", "Correct-horse-7"
POOL, NETWORK = "portal", "office"
GUEST, IMAGE, MEDIA = "web1", "tiny", "tinyiso"
FULL_NAME = f"{USER}.{GUEST}"

#: Path below /admin → what its screen shows.
MENUS = {
    "dashboard": "Resource",
    "compute_pools": "Compute Pools",
    "address_pools": "Address Pools",
    "storage_pools": "Storage Pools",
    "instances": "Instances",
    "disk_images": "Upload New Disk Image",
    "media_images": "Upload New ISO",
    "system_templates": "Create System Template",
    "security_policies": "Security Policy Groups",
    "users": "User Name",
    "logs": "Operate Logs",
    "visibilities": "Group Resource Visibility",
}


class Journey:
    """The steps, in order. Each leaves pictures."""

    def __init__(self, portal: Portal, lab: Lab, troubles: Troubles) -> None:
        self.portal = portal
        self.lab = lab
        self.troubles = troubles

    def steps(self, begin: str | None = None) -> list[Callable[[], None]]:
        """All of it, or what comes from a step on, after a login where that needs one."""
        steps = [
            self.first_start,
            self.login,
            self.menus,
            self.address_pool,
            self.compute_pool,
            self.cells,
            self.images,
            self.create_guest,
            self.power_and_details,
            self.console,
            self.media,
            self.stop,
            self.security,
            self.snapshots,
            self.batch,
            self.delete_guest,
            self.accounts,
            self.groups_and_visibility,
            self.menus_with_content,
        ]
        if begin is None:
            return steps
        names = [step.__name__ for step in steps]
        first = names.index(begin)
        return steps[first:] if first <= steps.index(self.login) else [self.login, *steps[first:]]

    def first_start(self) -> None:
        """A system without accounts sends everybody to its first page."""
        portal = self.portal
        portal.go("/")
        portal.page.wait_for_url("**/initial")
        portal.sees("Please set up a new admin account")
        portal.fill("Super Admin Name", USER)
        portal.fill("Password", PASSWORD)
        portal.fill("Confirm Password", PASSWORD)
        portal.picture("initial")
        portal.press("Initial System")
        portal.press("Confirm")
        portal.page.wait_for_url("**/login")

    def login(self) -> None:
        """A wrong password is told; the right one opens the dashboard."""
        portal = self.portal
        self.troubles.expected.append("invalid user or password")
        portal.go("/")
        portal.page.wait_for_url("**/login")
        portal.fill("User", USER)
        portal.fill("Password", "Wrong-horse-7")
        portal.press("Login")
        portal.sees("invalid user or password")
        portal.picture("login-refused")
        portal.fill("Password", PASSWORD)
        portal.press("Login")
        portal.page.wait_for_url("**/admin/dashboard")

    def menus(self) -> None:
        """Every screen opens on a system that has nothing yet."""
        for path, text in MENUS.items():
            self.portal.go(f"/admin/{path}")
            self.portal.sees(text)
            self.portal.picture(f"empty-{path.replace('_', '-')}")

    def menus_with_content(self) -> None:
        """And again now."""
        for path, text in MENUS.items():
            self.portal.go(f"/admin/{path}")
            self.portal.sees(text)
            self.portal.picture(f"full-{path.replace('_', '-')}")

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
        portal.go(f"/admin/address_pools/?action=detail&pool={NETWORK}")
        portal.go("/admin/address_pools")
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
        for path in ("/admin/dashboard", f"/admin/dashboard/pools/{POOL}"):
            portal.go(path)
            portal.page.wait_for_timeout(5000)  # two rounds of figures
            portal.picture("dashboard")

    def images(self) -> None:
        """A disk image and a medium, uploaded."""
        portal = self.portal
        uploads = (
            ("disk_images", "Upload New Disk Image", IMAGE, self.lab.image_qcow2),
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
            portal.picture(path.replace("_", "-"))

    def create_guest(self) -> None:
        """From the image, with its progress seen."""
        portal = self.portal
        portal.go(f"/admin/instances/range/?pool={POOL}")
        portal.press("Create New Instance")
        portal.fill("Instance Name", GUEST)
        portal.choose("Resource Pool", POOL)
        portal.choose("Source Image", IMAGE)
        portal.choose("System Version", "CentOS 7")
        portal.picture("guest-create")
        portal.press("Confirm")
        portal.page.locator("[role=dialog] .MuiLinearProgress-root").wait_for()
        portal.sees(".00%")
        portal.picture("guest-progress")
        portal.dialog_closes(300)
        self.row()
        portal.picture("guests")

    def power_and_details(self) -> None:
        """Started; what its pages say then."""
        portal = self.portal
        row = self.row()
        portal.press_icon("Start Instance", FULL_NAME)
        row.locator('[title="Stop Instance"]').wait_for()
        portal.picture("guest-running")
        guest_id = self.guest_id()
        portal.go(f"/admin/instances/details/{guest_id}")
        portal.sees("Allocated Address")
        portal.sees(guest_id)
        portal.picture("guest-details")
        portal.go(f"/admin/instances/status/{guest_id}")
        portal.page.wait_for_timeout(6000)  # three rounds of figures
        portal.picture("guest-status")

    def guest_id(self) -> str:
        """As the link to its details has it."""
        link = self.row().locator('a[href*="/details/"]').first
        return str(link.get_attribute("href")).rsplit("/", 1)[1]

    def row(self) -> Locator:
        """Of the guest, in the list of its pool."""
        self.portal.go(f"/admin/instances/range/?pool={POOL}")
        row = self.portal.page.locator("tr").filter(has_text=FULL_NAME).first
        row.wait_for()
        return row

    def console(self) -> None:
        """The portal's own noVNC shows what the guest shows, and types into it."""
        portal = self.portal
        portal.go(f"/monitor/{self.guest_id()}")
        canvas = portal.page.locator("canvas").first
        canvas.wait_for()
        wait_for_text_on(portal.page)
        portal.picture("console")
        canvas.hover()
        before = lit_pixels(portal.page)
        for _ in range(3):
            portal.page.keyboard.type("uname -a\n", delay=80)
        portal.page.wait_for_timeout(3000)
        portal.picture("console-typed")
        assert lit_pixels(portal.page) > before, "nothing appeared on the display"

    def media(self) -> None:
        """Into the guest's drive and out again."""
        portal = self.portal
        row = self.row()
        portal.press_icon("Insert Media", FULL_NAME)
        portal.choose("Media Name", MEDIA)
        portal.picture("media-insert")
        portal.press("Confirm")
        portal.dialog_closes()
        row.locator('[title="Eject Media"]').wait_for()
        portal.picture("media-inserted")
        portal.press_icon("Eject Media", FULL_NAME)
        row.locator('[title="Insert Media"]').wait_for()

    def stop(self) -> None:
        """By the power button, which the guest hears."""
        portal = self.portal
        row = self.row()
        portal.press_icon("Stop Instance", FULL_NAME)
        row.locator('[title="Start Instance"]').wait_for(timeout=180_000)
        portal.picture("guest-stopped")

    def security(self) -> None:
        """A rule of the guest's own, and a policy group."""
        portal = self.portal
        portal.go(f"/admin/instances/policies/{self.guest_id()}")
        portal.press("Add New Rule")
        portal.tick("Accept")
        portal.choose("Protocol", "TCP")
        portal.fill("Target Port", "22")
        portal.picture("rule-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("22")
        portal.picture("rules")
        portal.go("/admin/security_policies")
        portal.press("Create New Group")
        portal.fill("Name", "web_servers")
        portal.picture("policy-group-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("web_servers")

    def snapshots(self) -> None:
        """Two, one on the other; back to the first."""
        portal = self.portal
        portal.go(f"/admin/instances/snapshots/{self.guest_id()}")
        for name in ("clean", "changed"):
            portal.press("Create New Snapshot")
            portal.fill("Name", name)
            portal.fill("Description", f"{name} disks")
            portal.press("Confirm")
            portal.dialog_closes()
            portal.sees(name)
        portal.page.get_by_text("clean").first.click()
        portal.sees("Offline Snapshot")
        portal.picture("snapshots")
        portal.press("Revert")
        portal.picture("snapshot-revert")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("restored to snapshot clean")
        portal.picture("snapshot-reverted")

    def batch(self) -> None:
        """Guests made, stopped and deleted at once."""
        portal = self.portal
        portal.go(f"/admin/instances/range/?pool={POOL}")
        portal.press("Batch Create")
        portal.fill("Prefix", "many")
        portal.page.locator("[role=dialog] [role=slider]").first.press("ArrowRight")
        portal.choose("Resource Pool", POOL)
        portal.choose("Source Image", IMAGE)
        portal.choose("System Version", "CentOS 7")
        portal.tick_switch("Automatic Startup")
        portal.picture("batch-create")
        portal.press("Confirm")
        portal.sees("Creating")
        portal.picture("batch-creating")
        portal.press_when_there("Finish", 300)
        portal.picture("batch-created")
        portal.press("Enter Batch Mode")
        for box in portal.page.locator("tr").filter(has_text="many").locator("input").all():
            box.check(force=True)
        for button in ("Batch Stop", "Batch Delete"):
            portal.press(button)
            portal.picture(button.lower().replace(" ", "-"))
            portal.press("Confirm")
            portal.press_when_there("Finish", 300)

    def delete_guest(self) -> None:
        """Its row goes."""
        portal = self.portal
        row = self.row()
        portal.press_icon("Delete Instance", FULL_NAME)
        portal.picture("guest-delete")
        portal.press("Confirm")
        portal.dialog_closes()
        row.wait_for(state="detached")

    def accounts(self) -> None:
        """A user."""
        portal = self.portal
        portal.go("/admin/users")
        portal.press("Create New User")
        portal.fill("Username", "mary")
        portal.fill("Password", PASSWORD)
        portal.fill("Confirm Password", PASSWORD)
        portal.fill("Mail", "mary@example.org")
        portal.picture("user-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("mary")
        portal.picture("users")

    def groups_and_visibility(self) -> None:
        """A role, a group with it, and what groups show to their members."""
        portal = self.portal
        portal.go("/admin/users")
        portal.page.get_by_role("tab", name="Roles").click()
        portal.press("Add New Role")
        portal.fill("Name", "viewers")
        portal.tick("Dashboard")
        portal.picture("role-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("viewers")
        portal.page.get_by_role("tab", name="User Groups").click()
        portal.picture("groups")
        portal.go("/admin/visibilities")
        portal.page.locator("input[type=checkbox]").first.check(force=True)
        portal.press("Modify")
        portal.picture("visibility")
