# SPDX-License-Identifier: Apache-2.0
"""The lab itself: cells that are real enough, and nothing left of them afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cell import Cell
from tests.lab.commands import wait_until
from tests.lab.control_groups import groups_named, processes_in
from tests.lab.errors import LabError
from tests.lab.identity import CHECKOUT, Identity
from tests.lab.lab import Lab
from tests.lab.leftovers import difference, marks_of_other_labs, snapshot

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]

# What other users of the same machine may start meanwhile; this lab starts none of it.
UNRELATED = ["nanoctl", "ansible", "qemu-system", "libvirtd", "virtlogd"]


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A lab for rough handling, apart from the one that other tests share."""
    lab = Lab("labtest")
    lab.down()
    lab.up(2)
    yield lab
    lab.down()


def command(*arguments: str, instance: str = "labtest") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.lab", "--instance", instance, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def boot_id(cell: Cell) -> str:
    """Tell one boot of a cell from another: when its first process started."""
    return cell.run(["stat", "-c", "%Y", "/proc/1"]).stdout


def test_cells_have_their_own_systemd_hostname_and_identity(own_lab: Lab) -> None:
    machine_ids = set()
    for cell in own_lab.cells:
        assert cell.run(["hostname"]).stdout.strip() == cell.name
        assert cell.run(["cat", "/proc/1/comm"]).stdout.strip() == "systemd"
        state = cell.run(["systemctl", "is-system-running", "--wait"], check=False)
        assert state.stdout.strip() == "running"
        machine_ids.add(cell.run(["cat", "/etc/machine-id"]).stdout.strip())
    assert len(machine_ids) == 2
    assert Path("/etc/machine-id").read_text().strip() not in machine_ids


def test_cells_reach_each_other_and_this_machine_by_name(own_lab: Lab) -> None:
    first, second = own_lab.cells
    for cell, other in ((first, second), (second, first)):
        found = cell.run(["getent", "ahostsv4", other.name]).stdout.split()[0]
        assert found == other.address
        banner = cell.run(["bash", "-c", f"exec 3<>/dev/tcp/{other.name}/22; head -n 1 <&3"]).stdout
        assert banner.startswith("SSH-2.0")
    resolver = first.run(["cat", "/etc/resolv.conf"]).stdout
    assert own_lab.host_address in resolver


def test_ssh_knows_the_cells_in_advance_and_refuses_strangers(own_lab: Lab) -> None:
    first, second = own_lab.cells
    second_key = own_lab.keys.host_key(second.name)[1]
    assert second_key != own_lab.keys.host_key(first.name)[1]
    known = own_lab.keys.known_hosts.read_text()
    try:
        kind, key = second_key.split()[:2]
        own_lab.keys.known_hosts.write_text(f"{first.address} {kind} {key}\n")
        refused = first.run(["true"], check=False)
        assert refused.returncode == 255
        assert "Host key verification failed" in refused.stderr
    finally:
        own_lab.keys.known_hosts.write_text(known)
    assert first.run(["true"]).returncode == 0


def test_cell_is_plain_and_onboarding_needs_no_network(own_lab: Lab) -> None:
    cell = own_lab.cells[0]
    assert cell.run(["sh", "-c", "command -v virsh"], check=False).returncode != 0
    simulated = cell.run(
        ["apt-get", "install", "--simulate", "--no-download", "--yes",
         "--no-install-recommends", "libvirt-daemon-system", "libvirt-clients",
         "libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "python3-libvirt",
         "dnsmasq-base", "bridge-utils", "acl"]
    )  # fmt: skip
    assert "Inst libvirt-daemon-system" in simulated.stdout
    really = cell.run(["apt-get", "install", "--no-download", "--yes", "--quiet", "acl"])
    assert "Setting up acl" in really.stdout
    assert cell.run(["getfacl", "/etc/hostname"]).returncode == 0


def test_what_libvirt_needs_is_there(own_lab: Lab) -> None:
    cell = own_lab.cells[0]
    for device in ("/dev/fuse", "/dev/net/tun"):
        assert cell.run(["test", "-c", device], check=False).returncode == 0, device
    mounts = cell.run(["cat", "/proc/self/mounts"]).stdout
    read_only = [
        line
        for line in mounts.splitlines()
        if line.split()[2] == "cgroup" and line.split()[3].startswith("ro")
    ]
    assert read_only == []
    assert cell.run(["ip", "-brief", "link", "show", "guest0"]).returncode == 0


def test_second_up_changes_nothing_and_is_quick(own_lab: Lab) -> None:
    before = [boot_id(cell) for cell in own_lab.cells]
    cell = own_lab.cells[0]
    cell.run(["touch", "/root/kept"])
    started = time.monotonic()
    repeated = command("up", "2")
    seconds = time.monotonic() - started
    assert repeated.returncode == 0, repeated.stderr
    assert seconds < 20
    assert [boot_id(cell) for cell in own_lab.cells] == before
    assert cell.run(["test", "-e", "/root/kept"]).returncode == 0


def test_status_for_programs(own_lab: Lab) -> None:
    shown = command("status", "--json")
    status = json.loads(shown.stdout)
    assert status["state"] == "up"
    assert [cell["name"] for cell in status["cells"]] == ["cell1", "cell2"]
    assert {cell["state"] for cell in status["cells"]} == {"answers"}
    assert status["host_address"] == own_lab.host_address
    assert Path(status["inventory"]).is_file()


def test_exec_passes_words_and_status_through(own_lab: Lab) -> None:
    assert own_lab.cells
    said = command("exec", "cell2", "printf", "%s|", "a b", "$HOME", "*")
    assert said.stdout == "a b|$HOME|*|"
    assert command("exec", "cell1", "sh", "-c", "exit 7").returncode == 7


def test_cut_and_heal(own_lab: Lab) -> None:
    first, second = own_lab.cells
    before = boot_id(second)
    assert command("cut", "cell2").returncode == 0
    assert not second.answers()
    assert first.answers()
    assert own_lab.status()["state"] == "partly"
    assert command("heal", "cell2").returncode == 0
    assert second.answers()
    assert boot_id(second) == before


def test_kill_is_a_power_failure_and_heal_boots_again(own_lab: Lab) -> None:
    first, second = own_lab.cells
    second.run(["sh", "-c", "echo kept > /root/on-disk && sync"])
    second.run(["systemd-run", "--quiet", "--unit=long", "sleep", "4242"])
    groups = groups_named(second.machine_name)
    assert processes_in(groups)
    before = boot_id(second)
    started = time.monotonic()
    assert command("kill", "cell2").returncode == 0
    assert time.monotonic() - started < 10
    assert processes_in(groups) == set()
    assert not second.is_running()
    assert first.answers()
    statuses = {cell["name"]: cell["state"] for cell in json.loads(
        command("status", "--json").stdout)["cells"]}  # fmt: skip
    assert statuses == {"cell1": "answers", "cell2": "killed"}
    assert command("heal", "cell2").returncode == 0
    assert second.run(["cat", "/root/on-disk"]).stdout == "kept\n"
    assert boot_id(second) != before
    assert second.run(["systemctl", "is-active", "long"], check=False).returncode != 0


def test_guest_lan_joins_the_cells_and_gives_addresses(own_lab: Lab) -> None:
    """As a role would: a bridge over guest0, and DHCP asked through it."""
    first, second = own_lab.cells
    lan = own_lab.network.guest_lan
    for cell, address in ((first, lan[21]), (second, lan[22])):
        cell.run(["ip", "link", "add", "trial0", "type", "bridge"])
        cell.run(["ip", "link", "set", "guest0", "master", "trial0", "up"])
        cell.run(["ip", "link", "set", "trial0", "up"])
        cell.run(["ip", "address", "add", f"{address}/24", "dev", "trial0"])
    try:
        reached = wait_until(
            lambda: first.run(
                ["bash", "-c", f"exec 3<>/dev/tcp/{lan[22]}/22"], check=False
            ).returncode == 0,
            10,
        )  # fmt: skip
        assert reached
        assert own_lab.leases() == {}
    finally:
        for cell in (first, second):
            cell.run(["ip", "link", "delete", "trial0"])


def test_two_labs_share_nothing(own_lab: Lab) -> None:
    other = Lab("labtest2")
    other.down()
    other.up(1)
    try:
        assert other.network.tag != own_lab.network.tag
        assert not other.network.management.overlaps(own_lab.network.management)
        assert not other.network.guest_lan.overlaps(own_lab.network.guest_lan)
        assert other.keys.client_public_key != own_lab.keys.client_public_key
        cell = other.cells[0]
        assert cell.address not in {mine.address for mine in own_lab.cells}
        assert cell.answers()
        cell.run(["touch", "/root/only-here"])
        absent = own_lab.cells[0].run(["test", "-e", "/root/only-here"], check=False)
        assert absent.returncode == 1
    finally:
        other.down()
    assert [cell.answers() for cell in own_lab.cells] == [True, True]


def test_growing_keeps_the_cells_that_are_there(own_lab: Lab) -> None:
    before = [boot_id(cell) for cell in own_lab.cells]
    own_lab.up(3)
    assert [cell.name for cell in own_lab.cells] == ["cell1", "cell2", "cell3"]
    assert [boot_id(cell) for cell in own_lab.cells[:2]] == before
    for cell in own_lab.cells:
        assert cell.run(["getent", "hosts", "cell3"]).stdout.split()[0].endswith(".13")


def test_down_leaves_nothing() -> None:
    lab = Lab("labtest3")
    lab.down()
    other_labs = marks_of_other_labs(lab.identity.lab_id)
    before = snapshot()
    lab.up(2)
    assert difference(before, snapshot()) != []
    lab.down()
    ignore = [*UNRELATED, *other_labs, *marks_of_other_labs(lab.identity.lab_id)]
    assert difference(before, snapshot(), ignore=ignore) == []
    assert not lab.state_directory.exists()
    assert lab.status()["state"] == "down"


def test_down_and_up_after_a_crash_with_state_lost() -> None:
    lab = Lab("labtest4")
    lab.down()
    other_labs = marks_of_other_labs(lab.identity.lab_id)
    before = snapshot()
    lab.up(2)
    for pid in lab.guest_lan.process_ids():
        os.kill(pid, 9)
    lab.kill("cell2")
    lab.inventory_path.unlink()
    assert lab.status()["state"] == "partly"
    lab.up()
    assert lab.inventory_path.is_file()
    assert [cell.answers() for cell in lab.cells] == [True, True]
    (lab.state_directory / "lab.json").unlink()
    assert lab.status()["state"] == "partly"
    lab.up(2)
    assert [cell.answers() for cell in lab.cells] == [True, True]
    (lab.state_directory / "lab.json").unlink()
    lab.down()
    ignore = [*UNRELATED, *other_labs, *marks_of_other_labs(lab.identity.lab_id)]
    assert difference(before, snapshot(), ignore=ignore) == []


def test_up_goes_on_after_an_up_that_was_killed() -> None:
    lab = Lab("labtest6")
    lab.down()
    try:
        for seconds in (0.25, 0.5, 0.8):
            started = subprocess.Popen(
                [sys.executable, "-m", "tests.lab", "--instance", "labtest6", "up", "2"],
                cwd=CHECKOUT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(seconds)
            started.kill()
            started.wait()
        assert command("up", "2", instance="labtest6").returncode == 0
        assert [cell.answers() for cell in lab.cells] == [True, True]
    finally:
        lab.down()


def test_help_teaches_and_errors_are_one_sentence() -> None:
    shown = command("--help")
    for word in ("up", "down", "status", "exec", "kill", "cut", "heal", "inventory"):
        assert word in shown.stdout
    refused = command("kill", "cell9", instance="labtest-none")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert "Traceback" not in refused.stderr
    assert command("up", "0", instance="labtest-none").returncode == 1
    with pytest.raises(LabError, match="lower-case"):
        Lab("../x")


def test_names_follow_the_checkout_and_the_instance(tmp_path: Path) -> None:
    identities = [
        Identity(checkout, instance)
        for checkout in (CHECKOUT, tmp_path)
        for instance in ("main", "test")
    ]
    assert len({identity.lab_id for identity in identities}) == 4
    assert identities[0].state_directory == CHECKOUT / "var/lab"
    assert identities[1].state_directory == CHECKOUT / "var/lab-test"
