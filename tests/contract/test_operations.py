# SPDX-License-Identifier: Apache-2.0
"""Operations agree with their playbooks, and their variables with the modules called there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from nano_api.address_pools import service as address_pools
from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.content import CONTENT_ROOT, PLAYBOOKS
from nano_api.guests.tables import Guest, GuestDefinition
from nano_api.images.tables import Image
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from nano_api.main import create_cloud
from nano_api.operations import OPERATIONS
from nano_api.operations.base import Operation, Playbook
from nano_api.settings import Settings
from nano_api.worker.untrusted import encode_untrusted

from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (  # isort: skip
    GUEST_ENTRY_ARGUMENTS,
)

MODULES = CONTENT_ROOT / "collection/ansible_collections/nano/cloud/plugins/modules"
FRAGMENTS = MODULES.parent / "doc_fragments"
GUEST = "0a50c4b1-3c1b-4f6b-9d6d-0d3e8f6f1c11"
#: What playbooks register, as far as later tasks use it.
REGISTERED = {
    "guest_disk_found": {"guests": [{"id": GUEST, "disks": [{"number": 0}]}]},
    "guest_create_made": {"guest": {"id": GUEST}},
    "guests_create_made": {"results": [{"failed": False, "id": GUEST}]},
    "guests_create_leases": {GUEST: {"mac": "00:16:3e:00:00:01", "address": "192.0.2.7/24"}},
    "guests_create_failed": [GUEST],
    "guests_delete_leases": {GUEST: {"mac": "00:16:3e:00:00:01"}},
    "guests_delete_gone": [GUEST],
    "guest_migrate_target": "c1",
    "guests_create_image": {"id": "image-1", "path": "/file", "format": "qcow2"},
    "guests_create_ready": [GUEST],
    "guests_delete_policy": GUEST,
    "cell_failover_fenced": {"rc": 0},
    "cell_failover_ready": [GUEST],
    "cell_lease_stale": [GUEST],
    "guest_migrate_one": {"id": GUEST, "cell": "c1"},
    "guest_migrate_cancel_one": {"id": GUEST, "cell": "c1"},
    "hostvars": {"c1": {"ansible_host": "192.0.2.1"}},
}
BATCH = {"guests": [{"id": GUEST, "name": "team.web1", "cell": "c1"}], "force": True}
STORAGE = {"name": "nas", "type": "nfs", "host": "192.0.2.5", "source": "/export/guests"}
PARAMETERS = {
    "guest_change": {
        "changes": {"name": "team.web2", "cores": 4, "memory_bytes": 1 << 29, "auto_start": True}
    },
    "guest_adopt": {
        "pool": "default",
        "owner": "admin",
        "group": "team",
        "mac": "00:16:3e:00:00:02",
        "display_port": 5907,
    },
    "guest_power": {"power_state": "running", "force": False, "boot_image": "media-1"},
    "cell_assign": {"pool": "default", "storage": STORAGE},
    "cell_release": {"storage": STORAGE},
    "cell_failover": {
        "storage": "nfs1",
        "guests": [
            {
                "id": GUEST,
                "name": "team.web1",
                "cell": "c1",
                "display_port": 5905,
                "auto_start": True,
                "start": True,
            }
        ],
        "unplaced": [],
    },
    "cell_lease": {"storage": "nfs1", "lease": "held", "lease_seconds": 15, "elsewhere": [GUEST]},
    "guest_migrate": {
        "source": "c1",
        "guests": [{"id": GUEST, "name": "team.web1", "cell": "c1", "display_port": 5905}],
    },
    "guest_auth": {"user": "root", "password_sealed": ""},
    "guest_disk": {"position": 0, "state": "reset", "image": "image-1"},
    "guest_media": {"image": "media-1"},
    "image_capture": {"image": "image-1"},
    "guest_policy": {
        "policy": {
            "default_action": "reject",
            "rules": [
                {
                    "action": "accept",
                    "protocol": "tcp",
                    "from_address": "",
                    "to_address": "192.0.2.1",
                    "to_port": 80,
                }
            ],
        }
    },
    "guests_create": BATCH,
    "guests_delete": BATCH,
    "guests_stop": BATCH,
    "snapshot_create": {"snapshot": {"name": "one", "description": "first", "memory": False}},
    "snapshot_restore": {"snapshot": {"name": "one", "memory": False}},
    "snapshot_delete": {"snapshot": {"name": "one"}},
}


def playbooks_of(operation: Operation) -> set[Playbook]:
    return {operation.playbook, operation.settle}


ALL = sorted({(name, book.file) for name, op in OPERATIONS.items() for book in playbooks_of(op)})


def tasks_in(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task, also those of blocks and of roles that are imported."""
    for item in items:
        for part in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
            yield from tasks_in(item.get(part, []))
        role = item.get("ansible.builtin.import_role")
        if role:
            file = CONTENT_ROOT / "roles" / role["name"] / "tasks" / f"{role['tasks_from']}.yml"
            yield from tasks_in(yaml.safe_load(file.read_text()))
        if "hosts" not in item:
            yield item


def tasks_of(file: str) -> list[dict[str, Any]]:
    return list(tasks_in(yaml.safe_load((PLAYBOOKS / file).read_text())))


@pytest.mark.parametrize(("name", "file"), ALL)
def test_every_step_is_a_task_of_its_playbook(name: str, file: str) -> None:
    book = next(b for b in playbooks_of(OPERATIONS[name]) if b.file == file)
    names = [task.get("name") for task in tasks_of(file)]
    for step in book.steps:
        assert names.count(step.task) == 1, step.task
    assert book.read_back in names
    assert sum(step.weight for step in book.steps) == 100


def documented_options(module: str) -> dict[str, Any]:
    """The argument specification that a module's documentation describes."""
    documentation = _documentation(MODULES / f"{module}.py")
    options: dict[str, Any] = dict(documentation.get("options") or {})
    options["uri"] = {"type": "str"}
    options["lock_timeout_seconds"] = {"type": "int"}
    if f"nano.cloud.{module}" in documentation["extends_documentation_fragment"]:
        options.update(_documentation(FRAGMENTS / f"{module}.py")["options"])
    return _as_specification(options)


def _documentation(file: Path) -> dict[str, Any]:
    text = file.read_text().split('DOCUMENTATION = r"""')[1].split('"""')[0]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _as_specification(options: dict[str, Any]) -> dict[str, Any]:
    specification = {}
    for name, option in options.items():
        wanted = {k: option[k] for k in ("type", "required", "choices", "elements") if k in option}
        if "suboptions" in option:
            wanted["options"] = _as_specification(option["suboptions"])
        specification[name] = wanted
    return specification


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A database with a cell, an image and a guest that uses every field."""
    cloud = create_cloud(Settings(data=tmp_path_factory.mktemp("data")))
    with cloud.database.transaction() as session:
        session.add(Cell(name="c1", address="192.0.2.1", pool="default"))
        session.add(
            Image(
                id="media-1",
                kind="media",
                name="iso",
                owner="admin",
                group="team",
                tags=[],
                format="iso",
                size_bytes=1 << 20,
                virtual_size_bytes=1 << 20,
                sha1="0" * 40,
                sha256="0" * 64,
                created=True,
                created_at=now(),
                modified_at=now(),
            )
        )
        session.add(
            Image(
                id="image-1",
                name="tiny",
                owner="admin",
                group="team",
                tags=[],
                format="qcow2",
                size_bytes=1 << 20,
                virtual_size_bytes=1 << 24,
                sha1="0" * 40,
                sha256="0" * 64,
                created=True,
                created_at=now(),
                modified_at=now(),
            )
        )
        session.flush()
        session.add(
            Guest(
                id=GUEST,
                name="team.web1",
                owner="admin",
                group="team",
                pool="default",
                cell="c1",
                cores=2,
                memory_bytes=1 << 28,
                disks=[1 << 28, 1 << 26],
                template_id="centos-7",
                hardware={
                    "operating_system": "linux",
                    "disk": "scsi",
                    "network": "virtio",
                    "display": "vga",
                    "control": "vnc",
                    "usb": "nec-xhci",
                    "tablet": "usb",
                },
                image_id="image-1",
                modules=["qemu", "cloud-init"],
                allocated_address="192.0.2.7/24",
                admin_name="admin",
                admin_secret_sealed=cloud.secrets.seal("secret"),
                cloud_init={"root_enabled": True, "data_path": "/opt/data"},
                policy={"default_action": "reject", "rules": []},
                limits={"cpu_priority": "low", "disk_limits": {"read_iops_sec": 9}},
                auto_start=True,
                mac="00:16:3e:00:00:01",
                display_port=5901,
                monitor_secret_sealed=cloud.secrets.seal("password"),
            )
        )
        session.add(
            GuestDefinition(cell="c1", guest_id=GUEST, name="n", xml="<domain/>", seen_at=now())
        )
        address_pools.create(
            session, "lan", gateway="192.0.2.1", dns=["192.0.2.53"], provider="dhcp"
        )
        address_pools.add_range(
            session, "lan", "internal", "192.0.2.7", end="192.0.2.7", netmask="255.255.255.0"
        )
        address_pools.allocate(session, "lan", GUEST)
    yield cloud
    cloud.database.close()


def trusted(value: Any) -> Any:
    """What stands in a playbook is evaluated; what a user says never is."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return [trusted(item) for item in value] if isinstance(value, list) else value


def variables_of(cloud: Cloud, operation: Operation) -> dict[str, Any]:
    subject = Subject("guest", GUEST, "team.web1")
    if operation.name.startswith("cell_"):
        subject = Subject("cell", "c1", "c1")
    parameters = dict(PARAMETERS.get(operation.name) or {})
    if "password_sealed" in parameters:
        parameters["password_sealed"] = cloud.secrets.seal("Choose-1")
    if operation.name == "guest_adopt":
        parameters["monitor_secret_sealed"] = cloud.secrets.seal("other")
    with cloud.database.transaction() as session:
        job = jobs.submit(
            session,
            operation.name,
            subject=subject,
            cells=["c1"],
            requester=Requester("admin", ""),
            parameters=parameters,
        )
        variables = operation.variables(session, cloud, job).variables
        session.rollback()
    encode_untrusted(variables)
    return variables


@pytest.mark.parametrize(("name", "file"), ALL)
def test_variables_fit_the_modules_that_the_playbook_calls(
    name: str, file: str, cloud: Cloud
) -> None:
    variables = variables_of(cloud, OPERATIONS[name])
    defaults_file = Path(CONTENT_ROOT / "roles/cell/defaults/main.yml")
    play = yaml.safe_load((PLAYBOOKS / file).read_text())[0]
    known = {
        **trusted(play.get("vars", {})),
        **yaml.safe_load(defaults_file.read_text()),
        **REGISTERED,
        **variables,
        "nano_cell": "c1",
        "nano_controller_urls": {"c1": "http://192.0.2.9:5870"},
        "inventory_hostname": "c1",
        "item": {"name": "default", "path": "/var/lib/libvirt/images"},
    }
    templar = Templar(loader=DataLoader(), variables=known)
    checked = 0
    for task in tasks_of(file):
        for key, arguments in task.items():
            if not key.startswith("nano.cloud."):
                continue
            module = key.removeprefix("nano.cloud.")
            given = templar.template(trusted(arguments or {}))
            result = ArgumentSpecValidator(documented_options(module)).validate(given)
            assert result.error_messages == [], (task["name"], given)
            checked += 1
    assert checked, f"{file} calls no module of ours"


@pytest.mark.parametrize("file", ["guest_create.yml", "guest_change.yml"])
def test_playbooks_pass_every_option_of_a_guest(file: str) -> None:
    arguments = [task["nano.cloud.guest"] for task in tasks_of(file) if "nano.cloud.guest" in task]
    assert sorted(arguments[0]) == sorted(GUEST_ENTRY_ARGUMENTS)


def test_every_playbook_of_ours_reads_back_also_after_a_failure() -> None:
    for operation in OPERATIONS.values():
        for book in playbooks_of(operation):
            plays = yaml.safe_load((PLAYBOOKS / book.file).read_text())
            changing = [step for step in book.steps if step.changes]
            if not changing:
                continue
            blocks = [item for item in plays[0]["tasks"] if "always" in item]
            names = [task["name"] for block in blocks for task in block["always"]]
            assert book.read_back in names, book.file
