# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud-init's medium: what is in it, the same again, and no secret in what is shown."""

from __future__ import annotations

import email
import json
import string
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nano.cloud.plugins.module_utils import (
    cloud_init_files,
    cloud_init_medium,
    iso_image,
    names,
    sha512_crypt,
)
from ansible_collections.nano.cloud.plugins.module_utils.cloud_init_files import (
    GuestFacts,
    build_medium,
    default_host_name,
    differing,
    shown,
)
from ansible_collections.nano.cloud.plugins.module_utils.cloud_init_scripts import data_disks_script
from ansible_collections.nano.cloud.plugins.module_utils.cloud_init_spec import cloud_init_request
from ansible_collections.nano.cloud.plugins.module_utils.errors import Unsupported
from ansible_collections.nano.cloud.plugins.module_utils.guest_service import ensure_present
from ansible_collections.nano.cloud.plugins.module_utils.libvirt_host import LibvirtHost

from .guests import GUEST_ID, new_request

FACTS = GuestFacts(GUEST_ID, "admin.web_1", "00:16:3e:00:00:01")
SECRET = "correct horse"


def medium(found: bytes | None = None, **options: Any) -> bytes:
    request = cloud_init_request(options)
    assert request is not None
    return build_medium(request, FACTS, found)


def files(**options: Any) -> dict[str, Any]:
    """The documents; ``user-data`` as its own configuration."""
    found = iso_image.files_in(medium(**options))
    text = found["user-data"].decode()
    assert text.startswith("#cloud-config\n")
    documents = {name: json.loads(found[name]) for name in ("meta-data", "network-config")}
    return {**documents, "user-data": json.loads(text.split("\n", 1)[1])}


@pytest.mark.parametrize(
    ("password", "salt", "expected"),
    [
        (
            "Hello world!",
            "saltstring",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"
            "FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "pässwörd mit mehr als vierundsechzig Zeichen, also aus mehr als einem Block",
            "a",
            "$6$a$4F5TdIuSsaX1EvfxRZG7Lie3udtfy8NYERAt/DaNZMxaGWqh.dA.z6C"
            "TIQXdUFLjrleqmEVSLchImTrXzdKG30",
        ),
    ],
)
def test_hashes_as_openssl_makes_them(password: str, salt: str, expected: str) -> None:
    assert sha512_crypt.hash_with_salt(password, salt) == expected
    assert sha512_crypt.is_hash_of(password, expected)


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_a_hash_knows_its_password(one: str, other: str) -> None:
    known = sha512_crypt.new_hash(one)
    assert sha512_crypt.is_hash_of(one, known)
    assert sha512_crypt.is_hash_of(other, known) == (one == other)
    assert not sha512_crypt.is_hash_of(one, "!" + known)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(string.ascii_lowercase + "-", min_size=1, max_size=20),
        st.binary(max_size=6000),
        max_size=6,
    )
)
def test_files_come_out_of_an_image_as_they_went_in(content: dict[str, bytes]) -> None:
    image = iso_image.build("cidata", content)
    assert iso_image.files_in(image) == content
    assert iso_image.build("cidata", content) == image
    assert len(image) % 2048 == 0


def test_other_images_have_no_files() -> None:
    for image in (b"", bytes(2048), bytes(60000), b"\2CD001" * 20000):
        assert iso_image.files_in(image) == {}


def test_defaults() -> None:
    found = files()
    assert found["meta-data"] == {"instance-id": GUEST_ID, "local-hostname": "web-1"}
    card = found["network-config"]["ethernets"]["eth0"]
    assert card == {
        "match": {"macaddress": "00:16:3e:00:00:01"},
        "set-name": "eth0",
        "dhcp4": True,
    }
    config = found["user-data"]
    assert config["users"] == []
    assert config["disable_root"] is True
    assert config["resize_rootfs"] is True
    assert "ssh_pwauth" not in config


def test_an_account() -> None:
    user = {"name": "debian", "password": SECRET, "sudo": True, "groups": ["adm"]}
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here"
    found = files(users=[{**user, "ssh_keys": [key]}, {"name": "quiet"}], ssh_pwauth=True)
    first, second = found["user-data"]["users"]
    assert sha512_crypt.is_hash_of(SECRET, first["passwd"])
    assert first["hashed_passwd"] == first["passwd"]
    assert (first["lock_passwd"], second["lock_passwd"]) == (False, True)
    assert first["ssh_authorized_keys"] == [key]
    assert first["sudo"] == "ALL=(ALL) NOPASSWD:ALL"
    assert "sudo" not in second
    assert found["user-data"]["ssh_pwauth"] is True


def test_root_logs_in_by_password_where_that_is_asked_for() -> None:
    found = files(users=[{"name": "root", "password": SECRET}], root_enabled=True, ssh_pwauth=True)
    config = found["user-data"]
    assert config["disable_root"] is False
    name, _colon, known = config["chpasswd"]["list"][0].partition(":")
    assert name == "root"
    assert sha512_crypt.is_hash_of(SECRET, known)
    assert "PermitRootLogin yes" in config["write_files"][0]["content"]
    assert "write_files" not in files(root_enabled=True)["user-data"]


def test_a_static_network() -> None:
    card = files(
        network={
            "addresses": ["192.0.2.7/24", "2001:db8::7/64"],
            "gateways": ["192.0.2.1", "2001:db8:1::1"],
            "dns": ["192.0.2.53"],
            "search": ["example.org"],
        }
    )["network-config"]["ethernets"]["eth0"]
    assert card["dhcp4"] is False
    assert card["addresses"] == ["192.0.2.7/24", "2001:db8::7/64"]
    assert card["routes"] == [
        {"to": "0.0.0.0/0", "via": "192.0.2.1"},
        {"to": "::/0", "via": "2001:db8:1::1", "on-link": True},
    ]
    assert card["nameservers"] == {"addresses": ["192.0.2.53"], "search": ["example.org"]}


def test_the_same_again_keeps_the_salt() -> None:
    options: dict[str, Any] = {
        "users": [{"name": "root", "password": "one"}, {"name": "a", "password": SECRET}],
        "data_path": "/opt/data",
        "user_data": "#!/bin/sh\ntrue\n",
    }
    first = medium(**options)
    assert medium(first, **options) == first
    assert medium(**options) != first
    assert differing(first, first)[0] == differing(first, first)[1]
    options["users"][1]["password"] = "another"
    assert medium(first, **options) != first


def test_what_is_shown_has_no_secrets_and_tells_that_they_changed() -> None:
    options = {
        "users": [{"name": "a", "password": SECRET}, {"name": "root", "password": SECRET}],
        "user_data": "#cloud-config\npassword: hunter2\n",
    }
    first = medium(**options)
    text = json.dumps(shown(first))
    assert "$6$" not in text
    assert SECRET not in text
    assert "hunter2" not in text
    second = medium(first, **{**options, "user_data": "#cloud-config\npassword: hunter3\n"})
    before, after = differing(first, second)
    assert before != after
    assert {key for key in after if after[key] != before[key]} == {"secrets"}
    assert shown(None) is None
    assert shown(b"foreign") == {"content": "(unknown)"}
    hostname = medium(first, **options, hostname="other")
    assert "secrets" not in differing(first, hostname)[1]


def test_further_user_data_is_a_part_of_its_own() -> None:
    config = "#cloud-config\npackages: [größe]\n"
    found = iso_image.files_in(medium(user_data=config, data_path="/srv"))["user-data"]
    parts = [part for part in email.message_from_bytes(found).walk() if not part.is_multipart()]
    kinds = [part.get_content_type() for part in parts]
    # His before ours: what both say is then as he says it.
    assert kinds == ["text/cloud-config", "text/cloud-config", "text/x-shellscript"]
    assert parts[0].get_payload(decode=True) == config.encode()
    assert parts[1]["Merge-Type"] == "list(append)+dict(no_replace,recurse_list)+str()"
    script = iso_image.files_in(medium(user_data="#!/bin/sh\n"))["user-data"]
    parts = list(email.message_from_bytes(script).walk())
    assert [part.get_content_subtype() for part in parts[1:]] == ["cloud-config", "x-shellscript"]


def test_the_script_is_one() -> None:
    script = data_disks_script("/opt/data")
    assert "path=/opt/data\n" in script
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web1", "web1"),
        ("team.web_1", "web-1"),
        ("a.-x-", "x"),
        ("___", "guest"),
        ("x" * 90, "x" * 63),
    ],
)
def test_host_names(name: str, expected: str) -> None:
    assert default_host_name(name) == expected


def test_the_medium_belongs_to_the_guest() -> None:
    name = names.cloud_init_volume_name(GUEST_ID)
    assert names.is_volume_of(GUEST_ID, name)
    assert cloud_init_files.LABEL == "cidata"


def test_where_it_cannot_be_written_nothing_is_left(host: LibvirtHost) -> None:
    """libvirt's test driver has no streams."""
    with pytest.raises(Unsupported):
        ensure_present(host, new_request(cloud_init={}), False, 1)
    pool = host.find_pool("default")
    assert pool is not None
    assert pool.volumes() == []
    assert host.find_domain(GUEST_ID, None) is None


def test_written_and_taken_back(host: LibvirtHost, monkeypatch: pytest.MonkeyPatch) -> None:
    content: dict[str, bytes] = {}
    monkeypatch.setattr(
        cloud_init_medium,
        "write_volume",
        lambda _host, volume, data: content.update({volume.name: data}),
    )
    monkeypatch.setattr(
        cloud_init_medium, "read_volume", lambda _host, volume: content[volume.name]
    )
    asked = new_request(cloud_init={"users": [{"name": "a", "password": SECRET}]})
    made = ensure_present(host, asked, False, 1)
    assert made.guest is not None
    assert made.guest["cloud_init"] is True
    assert SECRET not in json.dumps(made.differences.as_diff())
    assert not ensure_present(host, asked, False, 1).differences.changed
    assert not ensure_present(host, new_request(), False, 1).differences.changed
    other = new_request(cloud_init={"hostname": "other"})
    assert ensure_present(host, other, True, 1).differences.fields == ["cloud_init"]
    assert ensure_present(host, other, False, 1).differences.changed
    assert not ensure_present(host, other, False, 1).differences.changed
    removed = ensure_present(host, new_request(cloud_init={"enabled": False}), False, 1)
    assert removed.differences.fields == ["cloud_init"]
    pool = host.find_pool("default")
    assert pool is not None
    assert [volume.name for volume in pool.volumes()] == [f"{GUEST_ID}_sys.qcow2"]
