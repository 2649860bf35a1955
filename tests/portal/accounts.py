# SPDX-License-Identifier: Apache-2.0
"""The first start, the login, and who may do what."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.portal.browser import Portal

USER, PASSWORD = "admin", "Correct-horse-7"
MEMBER, GROUP = "mary", "visitors"


class Accounts:
    """Users, groups, roles and what they see."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

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
        portal.troubles.expected.append("invalid user or password")
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

    def users(self) -> None:
        """One more."""
        portal = self.portal
        portal.go("/admin/users")
        portal.press("Create New User")
        portal.fill("Username", MEMBER)
        portal.fill("Password", PASSWORD)
        portal.fill("Confirm Password", PASSWORD)
        portal.fill("Mail", f"{MEMBER}@example.org")
        portal.picture("user-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees(MEMBER)
        portal.picture("users")

    def roles_and_groups(self) -> None:
        """A role that opens one screen, a group that has it, and the user in that group."""
        portal = self.portal
        portal.page.get_by_role("tab", name="Roles").click()
        portal.press("Add New Role")
        portal.fill("Name", "viewers")
        portal.tick("Dashboard")
        portal.picture("role-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("viewers")
        portal.picture("roles")
        portal.page.get_by_role("tab", name="User Groups").click()
        portal.press("Add New Group")
        portal.fill("Group Name", GROUP)
        portal.fill("Display Name", "Guests of the house")
        portal.tick("viewers")
        portal.picture("group-create")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.sees("Guests of the house")
        portal.picture("groups")
        portal.press_icon("Members", GROUP)
        portal.press("Add Group Member")
        portal.choose("User", MEMBER)
        portal.picture("member-add")
        portal.press("Confirm")
        portal.dialog_closes()
        portal.page.locator("tr").filter(has_text=MEMBER).wait_for()
        portal.picture("members")

    def visibility(self) -> None:
        """What a group's members see of each other; read back."""
        portal = self.portal
        portal.go("/admin/visibilities")
        first = portal.page.locator("input[type=checkbox]").first
        first.check(force=True)
        portal.press("Modify")
        portal.sees("Visibilities updated")
        portal.go("/admin/visibilities")
        first.wait_for(state="attached")
        expect(first).to_be_checked()
        portal.picture("visibility")

    def logs(self) -> None:
        """What was done."""
        portal = self.portal
        portal.go("/admin/logs")
        portal.sees("Visibilities updated")
        portal.picture("logs")

    def member_login(self) -> None:
        """The new user sees the screen of the role and no other."""
        portal = self.portal
        portal.forget_session()
        portal.go("/")
        portal.page.wait_for_url("**/login**")
        portal.fill("User", MEMBER)
        portal.fill("Password", PASSWORD)
        portal.press("Login")
        portal.page.wait_for_url("**/admin/dashboard")
        portal.sees("System start at")
        assert not portal.page.locator('a[href="/admin/users"]').count(), "a menu of no role"
        portal.picture("member")
