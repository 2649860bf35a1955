# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's CD drive: options, and its XML."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import drive_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.media_spec import media_request

DOMAIN = """<domain><devices>
<disk type='volume' device='cdrom'><source pool='default' volume='g_ci.iso'/>
<target dev='hdb' bus='ide'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
<source file='/isos/a.iso' index='1'/><backingStore/><target dev='hda' bus='ide'/>
<foreign/></disk>
</devices></domain>"""


def test_the_users_drive_is_changed_and_nothing_else() -> None:
    assert drive_xml.medium(DOMAIN) == "/isos/a.iso"
    xml, drive = drive_xml.with_medium(DOMAIN, "/isos/b & c.iso")
    assert drive_xml.medium(xml) == "/isos/b & c.iso"
    assert "g_ci.iso" in xml
    assert "<foreign" in drive
    assert "index" not in drive
    empty, drive = drive_xml.with_medium(xml, "")
    assert drive_xml.medium(empty) == ""
    assert "<source" not in drive


def test_a_guest_without_a_drive() -> None:
    assert drive_xml.medium("<domain><devices/></domain>") is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": None}, "name"),
        ({"image": None}, "image"),
        ({"image": ""}, "image"),
        ({"image": "../x"}, "image"),
        ({"image_pool": "a b"}, "image_pool"),
    ],
)
def test_bad_options(options: dict[str, Any], field: str) -> None:
    good = {
        "state": "inserted",
        "name": "g",
        "image": "a",
        "image_pool": "nano-images",
        "replace": False,
    }
    assert media_request(good).image == "a"
    assert media_request({**good, "state": "ejected", "image": None}).image is None
    with pytest.raises(InvalidInput) as refused:
        media_request({**good, **options})
    assert refused.value.context["field"] == field
