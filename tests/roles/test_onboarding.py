# SPDX-License-Identifier: Apache-2.0
"""Real onboarding of real, bare cells: ssh, apt, systemd, libvirt. In the order of the file."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.cell import Cell
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

CHECKOUT = Path(__file__).resolve().parents[2]
ONBOARD = CHECKOUT / "playbooks/cell_onboard.yml"
REMOVE = CHECKOUT / "playbooks/cell_remove.yml"
HOST_PART = """\
- name: Prepare the hosts
  hosts: cells
  gather_facts: false
  tasks:
    - name: Prepare the host
      ansible.builtin.import_role:
        name: cell
        tasks_from: host
"""
DISKLESS_GUEST = """\
<domain type='qemu'><name>wanderer</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices/></domain>
"""


@dataclass
class Run:
    """One run of ansible-playbook: its exit status, its output, its recap."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by cell."""
        found = re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", self.output, re.M)
        return {name: int(count) for name, count in found}

    @property
    def text(self) -> str:
        """The output as one line, without the line breaks that Ansible sets."""
        return " ".join(self.output.split())


class Bench:
    """Two bare cells and a way to run playbooks on them."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self.host_part = scratch / "host.yml"
        self.host_part.write_text(HOST_PART)

    @property
    def cells(self) -> list[Cell]:
        return self.lab.cells

    def play(self, playbook: Path, *arguments: str) -> Run:
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(CHECKOUT / "roles"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook"))]
        command += ["-i", str(self.lab.inventory_path), str(playbook), *arguments]
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def shell(self, cell: Cell, script: str) -> str:
        """Run a script on a cell and return its output; fails the test when it fails."""
        done = cell.run(["sh", "-c", script], check=False)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A lab of its own: these cells have to be bare, and their network is taken apart."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    lab = Lab(f"onboarding{worker}")
    lab.down()
    lab.up(2)
    yield Bench(lab, tmp_path_factory.mktemp("onboarding"))
    lab.down()


def test_a_bare_cell_is_told_from_an_onboarded_one(bench: Bench) -> None:
    run = bench.play(CHECKOUT / "playbooks/cell_check.yml", "-e", "nano_cell=cell1")
    assert run.status != 0
    assert "onboard this cell with playbooks/cell_onboard.yml" in run.text


def test_check_mode_shows_everything_and_does_nothing(bench: Bench) -> None:
    before = bench.shell(bench.cells[0], "dpkg -l | md5sum; ls /etc /etc/* | md5sum; ip link")
    run = bench.play(ONBOARD, "--check", "--diff")
    assert run.status == 0, run.output
    assert all(count >= 4 for count in run.changed.values())
    assert "+Kind=bridge" in run.output
    assert "would be onboarded (check mode)" in run.text
    after = bench.shell(bench.cells[0], "dpkg -l | md5sum; ls /etc /etc/* | md5sum; ip link")
    assert after == before


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("cell_bridge=0123456789abcdef", "cell_bridge: 0123456789abcdef is no name of a network"),
        ("cell_bridge_nic=br0", "cell_bridge_nic: br0 cannot be the bridge itself"),
        ("cell_bridge_confirm_seconds=5", "cell_bridge_confirm_seconds: 5 is not within 20 and"),
        ("cell_image_pool_name=default", "must be two different names"),
        ("cell_pool_path=relative", "must be two different absolute directories"),
        ("cell_service_user=Root!", "cell_service_user: Root! is no name for an account"),
        ("cell_network_backend=wicked", "value of cell_network_backend must be one of"),
        ("cell_default_network=off", "value of cell_default_network must be one of"),
        ("cell_bridge_nic=eth7", "no network interface 'eth7'; it has guest0, host0"),
    ],
)
def test_a_bad_value_is_named(bench: Bench, variable: str, message: str) -> None:
    # Only cell_bridge_nic=eth7 is looked at on the cell; --check keeps it from more than that.
    run = bench.play(ONBOARD, "--check", "--limit", "cell1", "-e", variable)
    assert run.status != 0
    assert message in run.text


def test_onboarding_makes_cells_and_a_second_run_changes_nothing(bench: Bench) -> None:
    first = bench.play(ONBOARD)
    assert first.status == 0, first.output
    assert "cell1: ready" in first.text
    assert "cell2: ready" in first.text
    assert "guests run under qemu" in first.text or "guests run under kvm" in first.text
    second = bench.play(ONBOARD)
    assert second.status == 0, second.output
    assert second.changed == {"cell1": 0, "cell2": 0}


def check_facts(bench: Bench, cell: Cell) -> None:
    """What everything else relies on."""
    assert bench.shell(cell, "systemctl is-active libvirtd") == "active"
    assert bench.shell(cell, "systemctl is-enabled libvirtd") == "enabled"
    pools = bench.shell(cell, "virsh pool-list --autostart --name").split()
    assert pools == ["default", "nano-images"]
    assert bench.shell(cell, "virsh net-list --name") == ""
    assert "guest0" in bench.shell(cell, "ls /sys/class/net/br0/brif").split()
    assert bench.shell(cell, "cat /proc/sys/net/bridge/bridge-nf-call-iptables") == "1"
    assert bench.shell(cell, "virsh nwfilter-list | grep -c clean-traffic") == "2"
    # libvirt looks for hooks at its start only.
    installed = "stat -c %Z /etc/libvirt/hooks/qemu.d/50-nano-cell-lease"
    started = 'date +%s -d "$(systemctl show libvirtd -P ExecMainStartTimestamp)"'
    assert int(bench.shell(cell, started)) >= int(bench.shell(cell, installed))


def test_a_cell_is_complete_and_survives_a_power_failure(bench: Bench) -> None:
    check_facts(bench, bench.cells[0])
    bench.lab.kill("cell1")
    bench.lab.heal("cell1")
    bench.shell(bench.cells[0], "systemctl is-system-running --wait || true")
    check_facts(bench, bench.cells[0])
    run = bench.play(CHECKOUT / "playbooks/cell_check.yml", "-e", "nano_cell=cell1")
    assert run.status == 0, run.output
    assert run.changed == {"cell1": 0}


def test_a_guest_migrates_there_and_back_without_a_prompt(bench: Bench) -> None:
    one, two = bench.cells
    migrate = "virsh migrate --live --p2p --persistent --undefinesource wanderer"
    bench.shell(
        one,
        f"cat >/tmp/guest.xml <<'END'\n{DISKLESS_GUEST}END\n"
        "virsh define /tmp/guest.xml && virsh start wanderer",
    )
    bench.shell(one, f"{migrate} qemu+ssh://root@cell2/system </dev/null")
    assert bench.shell(two, "virsh domstate wanderer") == "running"
    bench.shell(two, f"{migrate} qemu+ssh://root@cell1/system </dev/null")
    assert bench.shell(one, "virsh domstate wanderer") == "running"
    bench.shell(one, "virsh destroy wanderer && virsh undefine wanderer")


def test_guests_and_filters_come_back_after_a_restart_in_order(bench: Bench) -> None:
    cell = bench.cells[0]
    guest = DISKLESS_GUEST.replace("wanderer", "resident")
    bench.shell(cell, f"cat > /root/guest.xml << 'X'\n{guest}X\nvirsh define /root/guest.xml")
    # It has no system that could answer when it is asked to end.
    bench.shell(
        cell, "sed -i s/SHUTDOWN_TIMEOUT=.*/SHUTDOWN_TIMEOUT=1/ /etc/default/libvirt-guests"
    )
    bench.shell(cell, "virsh start resident; systemd-run --on-active=1 systemctl poweroff")
    deadline = time.monotonic() + 120
    while cell.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    bench.lab.heal("cell1")
    while "running" not in bench.shell(cell, "virsh domstate resident"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    for program in ("iptables", "ip6tables"):
        rules = bench.shell(cell, f"{program} -S | grep nano-cloud")
        assert [line.split()[-1] for line in rules.splitlines()] == [
            "libvirt-host-in",
            "libvirt-in",
            "libvirt-out",
            "libvirt-in-post",
        ]
    refused = bench.play(REMOVE, "-e", "nano_cell=cell1")
    assert refused.status != 0
    assert "cell1 still has 1 guests (resident)" in refused.text
    bench.shell(cell, "virsh destroy resident; virsh undefine resident; rm /root/guest.xml")


def test_a_new_cell_is_introduced_to_the_others(bench: Bench) -> None:
    """A run limited to one cell makes it known to the cell outside of the run."""
    one, two = bench.cells
    bench.shell(one, "rm /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.pub")
    run = bench.play(ONBOARD, "--limit", "cell1")
    assert run.status == 0, run.output
    for source, target in ((one, "cell2"), (two, "cell1")):
        uri = f"qemu+ssh://root@{target}/system"
        assert bench.shell(source, f"virsh -c {uri} hostname </dev/null") == target
    assert bench.play(ONBOARD).changed == {"cell1": 0, "cell2": 0}


def test_a_cell_that_is_switched_off_stops_nobody(bench: Bench) -> None:
    bench.lab.kill("cell2")
    limited = bench.play(ONBOARD, "--limit", "cell1")
    both = bench.play(ONBOARD)
    bench.lab.heal("cell2")
    assert limited.status == 0, limited.output
    assert limited.changed == {"cell1": 0}
    assert "cell1: ready" in limited.text
    assert both.status != 0
    assert "cell1: ready" in both.text
    assert "cell2: FAILED" in both.text


def test_the_service_account_may_come_in_and_become_root(bench: Bench) -> None:
    cell = bench.cells[1]
    key = bench.shell(cell, "cut -d' ' -f1,2 /root/.ssh/id_ed25519.pub")
    values: dict[str, object] = {"cell_service_user": "nano"}
    values["cell_service_user_public_keys"] = [f"{key} controller"]
    account = ["--limit", "cell2", "-e", json.dumps(values)]
    first = bench.play(ONBOARD, *account)
    assert first.status == 0, first.output
    script = "ssh -o BatchMode=yes nano@cell2 'sudo -n id -u; virsh -c qemu:///system hostname'"
    assert bench.shell(cell, script).split() == ["0", "cell2"]
    assert bench.play(ONBOARD, *account).changed == {"cell2": 0}
    # The lab's own key, so that Ansible can come as that account: become instead of root.
    lab_key = bench.shell(cell, "grep -m1 -o '^ssh-ed25519 [^ ]*' /root/.ssh/authorized_keys")
    values["cell_service_user_public_keys"] = [lab_key]
    account = ["--limit", "cell2", "-e", json.dumps(values)]
    assert bench.play(ONBOARD, *account).changed == {"cell2": 1}
    as_account = bench.play(ONBOARD, *account, "-e", "ansible_user=nano")
    assert as_account.status == 0, as_account.output
    assert as_account.changed == {"cell2": 0}


def test_an_isolated_bridge_is_made_once(bench: Bench) -> None:
    values = ["-e", "cell_bridge=br2", "-e", "cell_bridge_nic="]
    first = bench.play(bench.host_part, *values)
    assert first.status == 0, first.output
    assert first.changed == {"cell1": 1, "cell2": 1}
    assert bench.shell(bench.cells[0], "ls /sys/class/net/br2/brif") == ""
    assert bench.play(bench.host_part, *values).changed == {"cell1": 0, "cell2": 0}


def test_somebody_elses_bridge_is_used_and_not_touched(bench: Bench) -> None:
    assert bench.play(bench.host_part).status == 0
    for cell in bench.cells:
        bench.shell(cell, "ip link add lan0 type bridge")
    down = bench.play(bench.host_part, "-e", "cell_bridge=lan0", "-e", "cell_bridge_nic=")
    assert down.status != 0
    assert "the bridge lan0 exists but is down" in down.text
    for cell in bench.cells:
        bench.shell(cell, "ip link set lan0 up")
    up = bench.play(bench.host_part, "-e", "cell_bridge=lan0", "-e", "cell_bridge_nic=")
    assert up.changed == {"cell1": 0, "cell2": 0}
    attach = bench.play(bench.host_part, "-e", "cell_bridge=lan0", "-e", "cell_bridge_nic=host0")
    assert attach.status != 0
    assert "this role did not make it" in attach.text
    taken = bench.play(bench.host_part, "-e", "cell_bridge=br9", "-e", "cell_bridge_nic=guest0")
    assert "guest0 belongs to br0 already" in taken.text


def addresses(bench: Bench, cell: Cell, link: str) -> str:
    return bench.shell(cell, f"ip -o -4 address show dev {link} | awk '{{print $4}}'")


def test_the_nic_under_the_connection_moves_or_comes_back(bench: Bench) -> None:
    """The bridge of cell1 cannot get its address and is undone; that of cell2 stays."""
    one, two = bench.cells
    here = {cell.name: addresses(bench, cell, "host0") for cell in bench.cells}
    broken = "/etc/systemd/network/05-nano-cloud-br1.network.d"
    bench.shell(one, f"mkdir -p {broken}; printf '[Match]\\nHost=nobody\\n' >{broken}/x.conf")
    values = ["-e", "cell_bridge=br1", "-e", "cell_bridge_nic=host0"]
    values += ["-e", "cell_bridge_confirm_seconds=20"]
    first = bench.play(bench.host_part, *values)
    assert "The bridge br1 was not made" in first.text
    assert addresses(bench, one, "host0") == here["cell1"]
    assert (
        bench.shell(one, "ls /sys/class/net /etc/systemd/network | grep -c 'br1$' || true") == "0"
    )
    assert addresses(bench, two, "br1") == here["cell2"]
    assert addresses(bench, two, "host0") == ""
    bench.shell(one, f"rm -r {broken}")
    second = bench.play(bench.host_part, *values)
    assert second.status == 0, second.output
    assert second.changed == {"cell1": 1, "cell2": 0}
    bench.lab.kill("cell1")
    bench.lab.heal("cell1")
    assert addresses(bench, one, "br1") == here["cell1"]
    assert bench.play(bench.host_part, *values).changed == {"cell1": 0, "cell2": 0}


def test_a_cell_becomes_a_plain_host_again(bench: Bench) -> None:
    cell = bench.cells[0]
    removed = bench.play(REMOVE, "-e", "nano_cell=cell1")
    assert removed.status == 0, removed.output
    assert "cell1 is no cell any more" in removed.text
    assert bench.shell(cell, "virsh pool-list --all --name") == ""
    gone = "/var/lib/libvirt/nano-images /usr/local/lib/nano-cloud /etc/sysctl.d/60-nano-cloud.conf"
    assert bench.shell(cell, f"ls -d {gone} 2> /dev/null || true") == ""
    assert bench.shell(cell, "grep -c nano-cloud /etc/default/libvirt-guests || true") == "0"
    assert bench.shell(cell, "cat /sys/class/net/br1/operstate") == "up"
    strangers = "grep -c '# nano-cloud cell1' /root/.ssh/authorized_keys || true"
    assert bench.shell(bench.cells[1], strangers) == "0"
    assert bench.play(REMOVE, "-e", "nano_cell=cell1").changed["cell1"] == 0
