# SPDX-License-Identifier: Apache-2.0
"""The steps of a cloud's life, in the order in which Nano's portal calls.

After each step the cell is asked with virsh, not the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MIB, USER, Service, domain_xml, filters, leases, media_of
from tests.e2e.test_batches_and_snapshots import finished
from tests.e2e.test_migrations import ended, states
from tests.lab.cell import Cell
from tests.lab.first_light import wait_for_boot
from tests.nano_client import ApiError

POOL, NETWORK = "office", "office-net"
SECRET = "Sesame-opens-7"


class Journey:
    """The steps, in order; what one makes the next ones use."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = service.client
        self.image = self.media = self.template = self.policy = ""
        self.guest_id = ""
        self.job = ""

    @property
    def guest(self) -> dict[str, Any]:
        return dict(self.client.get(f"/guests/{self.guest_id}"))

    @property
    def cell(self) -> Cell:
        return self.service.cell(self.guest["cell"])

    @property
    def path(self) -> str:
        return f"/guests/{self.guest_id}"

    @property
    def instance(self) -> str:
        return f"/instances/{self.guest_id}"

    def put(self, what: str, **body: Any) -> None:
        self.client.call("PUT", f"{self.path}/{what}", body)

    def virsh(self, *words: str) -> str:
        return self.cell.run(["virsh", *words]).stdout

    def xml(self) -> str:
        return domain_xml(self.cell, self.guest_id)

    def steps(self) -> list[Callable[[], None]]:
        return [
            self.pools_and_cells,
            self.address_pool,
            self.images,
            self.templates_and_policies,
            self.a_guest_from_an_image,
            self.limits,
            self.start_and_media,
            self.security_policy,
            self.stop_and_snapshots,
            self.resize,
            self.secrets_and_auto_start,
            self.rename,
            self.batch_of_ten,
            self.migration,
            self.deletion,
        ]

    def pools_and_cells(self) -> None:
        client = self.client
        assert client.get("/compute_zone_status/")["cells"] == [0, 0]
        client.call("POST", f"/compute_pools/{POOL}", {})
        names = {cell.name for cell in self.service.lab.cells}
        assert {cell["name"] for cell in client.get("/compute_pool_cells/")} == names
        for name in sorted(names):
            client.call("POST", f"/compute_pool_cells/{POOL}/{name}")
        client.wait_for_live_cells(names)
        assert client.get("/compute_pool_cells/") == []
        (status,) = [each for each in client.get("/compute_pool_status/") if each["name"] == POOL]
        assert status["cells"] == [0, 2]
        assert {each["name"] for each in client.get(f"/compute_cell_status/{POOL}")} == names
        storages = client.get(f"/compute_cell_status/{POOL}/cell1/storages/")
        found = self.service.cell("cell1").run(["virsh", "pool-dumpxml", "default"]).stdout
        assert f"<path>{storages['system'][0]}</path>" in found

    def address_pool(self) -> None:
        body = {"gateway": "10.99.5.1", "dns": ["192.0.2.53"], "provider": "dhcp"}
        self.client.call("POST", f"/address_pools/{NETWORK}", body)
        span = {"end": "10.99.5.40", "netmask": "255.255.255.0"}
        self.client.call("POST", f"/address_pools/{NETWORK}/internal/ranges/10.99.5.10", span)
        self.client.call("PUT", f"/compute_pools/{POOL}", {"network": NETWORK})
        assert self.client.get(f"/compute_pools/{POOL}")["network"] == NETWORK

    def images(self) -> None:
        own, lab = {"owner": USER, "group": USER}, self.service.lab
        self.image = self.client.upload_image("tiny", lab.image_qcow2, **own)
        self.media = self.client.upload_image("tiny-iso", lab.image_iso, kind="media", **own)
        (disk,) = self.client.get("/disk_image_search/?tags=linux")
        (medium,) = self.client.get("/media_image_search/")
        assert (disk["id"], medium["id"]) == (self.image, self.media)
        assert disk["size"] == lab.image_qcow2.stat().st_size

    def templates_and_policies(self) -> None:
        template = {
            "name": "Plain",
            "admin": "root",
            "operating_system": "linux",
            "disk": "scsi",
            "network": "virtio",
            "display": "cirrus",
            "control": "vnc",
        }
        self.template = self.client.call("POST", "/templates/", template).data["id"]
        assert self.template in [each["id"] for each in self.client.get("/templates/")]
        group = {"name": "web", "user": USER, "group": USER, "enabled": True, "global": True}
        made = self.client.call(
            "POST", "/security_policy_groups/", {**group, "default_action": "reject"}
        )
        self.policy = made.data["id"]
        rule = {"action": "accept", "protocol": "tcp", "to_port": 80}
        self.client.call("POST", f"/security_policy_groups/{self.policy}/rules/", rule)
        offered = "/search/security_policy_groups/?enabled_only=true&global_only=true"
        assert [each["id"] for each in self.client.get(offered)] == [self.policy]

    def a_guest_from_an_image(self) -> None:
        self.guest_id, self.job = self.client.create_guest(
            self.service.order(
                "web1",
                pool=POOL,
                memory=128 * MIB,
                disks=[256 * MIB, 32 * MIB],
                from_image=self.image,
                template=self.template,
                modules=["qemu", "cloud-init"],
                cloud_init={"admin_name": "anna", "admin_secret": SECRET},
                qos={"cpu_priority": "medium"},
                security_policy_group=self.policy,
            )
        )
        percents: list[int] = []
        guest = self.client.wait_for_guest(self.guest_id, 300, on_progress=percents.append)
        assert percents == sorted(percents)
        assert (guest["name"], guest["running"]) == (f"{USER}.web1", False)
        assert self.virsh("domuuid", guest["name"]).strip() == self.guest_id
        xml = self.xml()
        for part in (
            f"<memory unit='KiB'>{128 * 1024}</memory>",
            "<model type='cirrus'",
            f"<filterref filter='nano-{self.guest_id}'",
            f"<mac address='{guest['ethernet_address']}'/>",
            "<shares>1000</shares>",
            "org.qemu.guest_agent.0",
            f"{self.guest_id}_ci.iso",
        ):
            assert part in xml, part
        assert self.disk_bytes("sys") == 256 * MIB
        lease = leases(self.service.lab)[guest["ethernet_address"]]
        assert lease["cell"] == guest["cell"]
        assert lease["address"] == guest["internal"]["allocated_address"]
        assert (lease["gateway"], lease["dns"]) == ("10.99.5.1", ["192.0.2.53"])
        assert media_of(self.service.lab, self.guest_id) == [guest["cell"]]
        assert SECRET not in self.client.job_log(self.job) + self.service.log()

    def limits(self) -> None:
        self.put("qos/cpu", priority="low")
        assert "cpu_shares     : 500" in self.virsh("schedinfo", self.guest_id, "--config")
        self.put("qos/disk", read_iops=500, write_speed=8 * MIB)
        target = "sda"
        found = self.virsh("blkdeviotune", self.guest_id, target, "--config")
        assert re.search(r"read_iops_sec *: 500\n", found)
        assert re.search(rf"write_bytes_sec *: {8 * MIB}\n", found)
        assert re.search(r"read_bytes_sec *: 0\n", found)
        # A kernel without sch_sfq cannot start a guest with such a limit: it goes again.
        mac = self.guest["ethernet_address"]
        for speed, kib in ((2 * MIB, 2048), (0, 0)):
            self.put("qos/network", receive_speed=speed)
            tuned = self.virsh("domiftune", self.guest_id, mac, "--config")
            assert f"inbound.average: {kib}\n" in tuned
        assert self.guest["qos"] == {
            "cpu_priority": "low",
            "read_iops": 500,
            "write_speed": 8 * MIB,
        }

    def start_and_media(self) -> None:
        path = f"{self.instance}/media"
        with pytest.raises(ApiError, match="is stopped: start it first"):
            self.client.call("POST", path, {"source": self.media})
        self.client.call("POST", self.instance)
        wait_for_boot(self.cell, self.guest_id)
        assert self.virsh("domstate", self.guest_id).strip() == "running"
        with pytest.raises(ApiError, match=f"instance '{self.guest_id}' already started"):
            self.client.call("POST", self.instance)
        with pytest.raises(ApiError, match="invalid image 'none'"):
            self.client.call("POST", path, {"source": "none"})
        self.client.call("POST", path, {"source": self.media})
        shown = self.client.get(self.instance)
        assert (shown["media_attached"], shown["media_source"]) == (True, self.media)
        assert f"{self.media}.iso" in self.virsh("domblklist", self.guest_id)
        with pytest.raises(ApiError, match="already attached"):
            self.client.call("POST", path, {"source": self.media})
        self.client.call("DELETE", path)
        assert f"{self.media}.iso" not in self.virsh("domblklist", self.guest_id)
        assert self.client.get(self.instance)["media_attached"] is False

    def security_policy(self) -> None:
        path, rules = f"{self.path}/security_policy", f"{self.path}/security_policy/rules"
        shown = self.client.get(f"{path}/")
        assert (shown["default_action"], shown["rules"][0]["to_port"]) == ("reject", 80)
        rule = {"action": "accept", "protocol": "tcp", "to_port": 8443}
        self.client.call("POST", f"{rules}/", rule)
        self.client.call("PUT", f"{rules}/1/order", {"direction": "up"})
        shown = self.client.get(f"{path}/")
        assert [each["to_port"] for each in shown["rules"]] == [8443, 80]
        applied = self.cell.run(["sh", "-c", "iptables -S | grep -- '--dport 8443'"]).stdout
        assert "ACCEPT" in applied
        self.client.call("DELETE", f"{rules}/0")
        self.client.call("PUT", f"{path}/default_action", {"action": "accept"})
        assert "8443" not in self.virsh("nwfilter-dumpxml", f"nano-{self.guest_id}")

    def stop_and_snapshots(self) -> None:
        with pytest.raises(ApiError, match="is still running"):
            self.client.call("DELETE", self.path, {})
        self.client.call("DELETE", self.instance, {})
        assert self.virsh("domstate", self.guest_id).strip() == "shut off"
        path = f"{self.instance}/snapshots"
        before = self.system_disk()
        self.client.call("POST", f"{path}/", {"name": "fresh", "description": "as it came"})
        layer = self.system_disk()
        assert layer != before
        chain = self.cell.run(["qemu-img", "info", "--backing-chain", "--output=json", layer])
        assert len(json.loads(chain.stdout)) == 3  # it, what was, and the image below
        self.client.call("POST", f"{path}/", {"name": "later"})
        tree = self.client.get(f"{path}/")
        assert tree["later"] == {"is_root": False, "is_current": True, "backing": "fresh"}
        self.client.call("PUT", f"{path}/", {"target": "fresh"})
        assert self.client.get(f"{path}/")["fresh"]["is_current"] is True
        assert self.client.get(f"{path}/fresh")["description"] == "as it came"
        for name in ("later", "fresh"):
            self.client.call("DELETE", f"{path}/{name}")
        assert self.client.get(f"{path}/") == {}
        chain = self.cell.run(
            ["qemu-img", "info", "--backing-chain", "--output=json", self.system_disk()]
        )
        assert len(json.loads(chain.stdout)) == 2

    def resize(self) -> None:
        self.put("cores", cores=4)
        self.put("memory", memory=96 * MIB)
        xml = self.xml()
        assert re.search(r"<vcpu[^>]*>4</vcpu>", xml)
        assert re.search(r"<topology sockets='1' [^>]*cores='2' threads='2'/>", xml)
        assert f"<memory unit='KiB'>{96 * 1024}</memory>" in xml
        self.put("disks/resize/1", size=48 * MIB)
        assert self.disk_bytes("0") == 48 * MIB
        with pytest.raises(ApiError, match="size must be larger than the disk's"):
            self.put("disks/resize/1", size=40 * MIB)
        guest = self.guest
        assert (guest["cores"], guest["memory"]) == (4, 96 * MIB)
        assert guest["disks"] == [256 * MIB, 48 * MIB]

    def secrets_and_auto_start(self) -> None:
        self.put("auto_start", enable=True)
        assert "Autostart:      enable" in self.virsh("dominfo", self.guest_id)
        with pytest.raises(ApiError, match="already enabled"):
            self.put("auto_start", enable=True)
        self.put("auto_start", enable=False)
        before = self.guest["monitor_secret"]
        self.put("monitor/secret")
        after = self.guest["monitor_secret"]
        assert after != before
        secret_xml = self.virsh("dumpxml", "--inactive", "--security-info", self.guest_id)
        assert f"passwd='{after}'" in secret_xml

    def rename(self) -> None:
        self.put("name/", name=f"{USER}.www")
        assert self.guest["name"] == f"{USER}.www"
        assert self.virsh("domuuid", f"{USER}.www").strip() == self.guest_id
        assert self.guest["ethernet_address"] in domain_xml(self.cell, f"{USER}.www")
        self.client.call("POST", self.instance)
        with pytest.raises(ApiError, match="is still running"):
            self.put("name/", name=f"{USER}.x")
        # What runs grows where it can, and keeps what it started with where it cannot.
        self.put("disks/resize/0", size=288 * MIB)
        assert self.disk_bytes("sys") == 288 * MIB
        self.put("cores", cores=2)
        assert re.search(r"<vcpu[^>]*>4</vcpu>", self.virsh("dumpxml", self.guest_id))
        assert self.guest["cores"] == 2

    def batch_of_ten(self) -> None:
        order = self.service.order("unused", pool=POOL, disks=[32 * MIB])
        del order["name"]
        body = {**order, "name_rule": "order", "name_prefix": "many", "count": 10}
        begun = self.client.call("POST", "/batch/create_guest/", body)
        assert begun.status == 202
        made = finished(self.service, "create", begun.data["id"], 300)
        assert [item["status"] for item in made] == ["created"] * 10, made
        assert [item["name"] for item in made] == [f"{USER}.many_{n}" for n in range(10)]
        ids = {item["id"] for item in made}
        assert len(leases(self.service.lab)) == 11
        assert ids <= self.defined()
        gone = self.client.call("POST", "/batch/delete_guest/", {"guest": sorted(ids)})
        items = finished(self.service, "delete", gone.data["id"], 300)
        assert [item["status"] for item in items] == ["deleted"] * 10, items
        assert self.defined() == {self.guest_id}
        assert list(leases(self.service.lab)) == [self.guest["ethernet_address"]]

    def migration(self) -> None:
        before = self.guest
        lease = leases(self.service.lab)[before["ethernet_address"]]
        source = before["cell"]
        target = "cell2" if source == "cell1" else "cell1"
        body = {"source_pool": POOL, "source_cell": source, "target_cell": target}
        begun = self.client.call("POST", "/migrations/", {**body, "instances": [self.guest_id]})
        ended(self.service, begun.data["id"], 300)
        assert states(self.service, self.guest_id) == {target: "running", source: ""}
        assert (self.guest["cell"], self.guest["running"]) == (target, True)
        assert leases(self.service.lab)[before["ethernet_address"]] == {**lease, "cell": target}
        assert media_of(self.service.lab, self.guest_id) == [target]
        assert filters(self.service.cell(source)) == ""
        assert self.guest_id in filters(self.service.cell(target))

    def deletion(self) -> None:
        client, cell = self.client, self.cell
        client.call("DELETE", self.instance, {"force": True})
        client.call("DELETE", self.path, {})
        with pytest.raises(ApiError, match=f"invalid guest '{self.guest_id}'"):
            client.get(self.path)
        assert set(states(self.service, self.guest_id).values()) == {""}
        assert filters(cell) == ""
        assert leases(self.service.lab) == {}
        assert media_of(self.service.lab, self.guest_id) == []
        assert client.get(f"/address_pools/{NETWORK}").get("allocated", []) == []
        for what in (
            f"/disk_images/{self.image}",
            f"/media_images/{self.media}",
            f"/templates/{self.template}",
            f"/security_policy_groups/{self.policy}",
        ):
            client.call("DELETE", what)
        client.call("PUT", f"/compute_pools/{POOL}", {})
        for each in self.service.lab.cells:
            client.call("DELETE", f"/compute_pool_cells/{POOL}/{each.name}")
        client.call("DELETE", f"/address_pools/{NETWORK}")
        client.call("DELETE", f"/compute_pools/{POOL}")
        assert client.get("/compute_zone_status/")["instances"] == [0, 0, 0, 0]

    def disk_bytes(self, suffix: str) -> int:
        """A disk's size, also while its guest runs: -U reads beside the image's lock."""
        path = f"/var/lib/libvirt/images/{self.guest_id}_{suffix}.qcow2"
        done = self.cell.run(["qemu-img", "info", "-U", "--output=json", path])
        return int(json.loads(done.stdout)["virtual-size"])

    def system_disk(self) -> str:
        """The file of the first disk's newest layer."""
        blocks = self.virsh("domblklist", self.guest_id, "--details").splitlines()
        (line,) = [line for line in blocks if " disk " in line and "_sys" in line]
        found = line.split()[-1]
        return found if found.startswith("/") else self.virsh("vol-path", found, "default").strip()

    def defined(self) -> set[str]:
        """The ids of all guests that the cells have."""
        return {
            line.strip()
            for cell in self.service.lab.cells
            for line in cell.run(["virsh", "list", "--all", "--uuid"]).stdout.splitlines()
            if line.strip()
        }
