# SPDX-License-Identifier: GPL-3.0-or-later
"""Security policies: options, and the network filter that they become."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nano.cloud.plugins.module_utils import filter_xml
from ansible_collections.nano.cloud.plugins.module_utils.errors import InvalidInput
from ansible_collections.nano.cloud.plugins.module_utils.policy_spec import (
    PolicyRule,
    PolicySpec,
    policy_request,
    policy_values,
)

WEB = {
    "name": "web",
    "default_action": "drop",
    "rules": [
        {"action": "accept", "protocol": "tcp", "ports": ["80", "8000-8010"]},
        {"action": "drop", "protocol": "all", "source": "192.0.2.0/24"},
        {"action": "accept", "protocol": "icmp"},
        {"action": "accept", "protocol": "udp", "ports": ["53"], "target": "2001:db8::1"},
    ],
}


def spec_of(options: dict[str, Any]) -> PolicySpec:
    return policy_request(options).applied_to(None)


def test_a_policy_and_its_filter() -> None:
    spec = spec_of(WEB)
    xml = filter_xml.build(spec, "5d38a2c4-7c2d-4e0e-8a1c-000000000001")
    assert filter_xml.uuid_of(xml) == "5d38a2c4-7c2d-4e0e-8a1c-000000000001"
    assert filter_xml.parse(xml, "web") == spec
    assert policy_values(spec)["rules"][0]["ports"] == ["80", "8000-8010"]
    # IPv6 packets are not forgotten, nor is an address of one version sought in the other.
    assert xml.count('<tcp-ipv6 dstportstart="80"') == 1
    assert xml.count("192.0.2.0") == 1
    assert xml.count("2001:db8::1") == 1


def test_what_is_left_out_stays() -> None:
    found = spec_of(WEB)
    assert policy_request({"name": "web"}).applied_to(found) == found
    empty = policy_request({"name": "web", "rules": []}).applied_to(found)
    assert (empty.rules, empty.default_action) == ((), "drop")


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"ports": ["80"], "protocol": "icmp"}, "rules[0].ports"),
        ({"ports": ["80"]}, "rules[0].ports"),
        ({"ports": ["0"], "protocol": "tcp"}, "rules[0].ports"),
        ({"ports": ["10-9"], "protocol": "tcp"}, "rules[0].ports"),
        ({"ports": ["65536"], "protocol": "tcp"}, "rules[0].ports"),
        ({"ports": ["http"], "protocol": "tcp"}, "rules[0].ports"),
        ({"ports": ["1"] * 65, "protocol": "tcp"}, "rules[0].ports"),
        ({"source": "somewhere"}, "rules[0].source"),
        ({"source": "192.0.2.1/24"}, "rules[0].source"),
        ({"source": "192.0.2.1", "target": "::1"}, "rules[0].source"),
    ],
)
def test_bad_rules_name_the_option(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        policy_request({"name": "p", "rules": [{"action": "drop", **rule}]})
    assert refused.value.context["field"] == field


@pytest.mark.parametrize("name", ["", "a b", "<x>", "x" * 200, "{{ 1 }}"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        policy_request({"name": name})


ports = st.tuples(st.integers(1, 65535), st.integers(0, 20)).map(
    lambda pair: (pair[0], min(65535, pair[0] + pair[1]))
)
networks = st.one_of(
    st.just(""),
    st.ip_addresses(v=4).map(lambda address: f"{address}/32"),
    st.integers(1, 2**24 - 1).map(lambda number: str(ipaddress.ip_network((number << 8, 24)))),
    st.ip_addresses(v=6).map(lambda address: f"{address}/128"),
)


@st.composite
def rules(draw: st.DrawFn) -> PolicyRule:
    protocol = draw(st.sampled_from(["tcp", "udp", "icmp", "all"]))
    ranges = draw(st.lists(ports, max_size=3, unique=True)) if protocol in ("tcp", "udp") else []
    action = draw(st.sampled_from(["accept", "drop"]))
    return PolicyRule(action, protocol, tuple(ranges), draw(networks))


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        PolicySpec,
        st.just("p"),
        st.sampled_from(["accept", "drop"]),
        st.lists(rules(), max_size=6).map(tuple),
    )
)
def test_what_is_built_is_read_back(spec: PolicySpec) -> None:
    assert filter_xml.parse(filter_xml.build(spec, None), "p") == spec
