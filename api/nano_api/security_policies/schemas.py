# SPDX-License-Identifier: Apache-2.0
"""Security policies on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel
from nano_api.security_policies.rules import Rule
from nano_api.security_policies.service import PolicyGroupSettings
from nano_api.security_policies.tables import SecurityPolicyGroup


class PolicyGroupOut(BaseModel):
    """A security policy group."""

    id: str
    name: str
    description: str | None = Field(default=None, description="left out when empty")
    user: str = Field(description="who made it")
    group: str
    enabled: bool
    is_global: bool = Field(
        serialization_alias="global", description="whether everybody may use it"
    )
    default_action: Literal["accept", "reject"]

    @classmethod
    def of(cls, row: SecurityPolicyGroup) -> PolicyGroupOut:
        """The wire's form of a row."""
        return cls(
            id=row.id,
            name=row.name,
            description=row.description or None,
            user=row.owner,
            group=row.group,
            enabled=row.enabled,
            is_global=row.is_global,
            default_action="accept" if row.default_action == "accept" else "reject",
        )


class PolicyGroupBody(WireModel):
    """A group's settings; they replace those that it had."""

    name: str = Field(default="", description="required")
    description: str = ""
    user: str = Field(default="", description="required")
    group: str = Field(default="", description="required")
    enabled: bool = False
    is_global: bool = Field(default=False, alias="global")
    default_action: str = Field(default="", description="required: accept or reject")

    def settings(self) -> PolicyGroupSettings:
        """As the service wants them."""
        return PolicyGroupSettings(
            name=self.name,
            description=self.description,
            owner=self.user,
            group=self.group,
            enabled=self.enabled,
            is_global=self.is_global,
            default_action=self.default_action,
        )


class NewPolicyGroup(BaseModel):
    """The group that was made."""

    id: str


class RuleOut(BaseModel):
    """A rule. Addresses that are not given are left out."""

    action: Literal["accept", "reject"]
    protocol: Literal["tcp", "udp", "icmp"]
    from_address: str | None = None
    to_address: str | None = None
    to_port: int = Field(description="0 for icmp")


class RuleBody(WireModel):
    """A rule for packets that come in."""

    action: str = Field(default="", description="required: accept or reject")
    protocol: str = Field(default="", description="required: tcp, udp or icmp")
    from_address: str = Field(default="", description="IPv4; empty: any")
    to_address: str = Field(default="", description="IPv4; empty: any")
    to_port: int = Field(default=0, description="required for tcp and udp")


class OrderBody(WireModel):
    """Which way to move: ``up``; anything else is down."""

    direction: str = ""


def rule_out(rule: Rule) -> dict[str, Any]:
    """The wire's form of a rule."""
    return {
        **rule.stored(),
        "from_address": rule.from_address or None,
        "to_address": rule.to_address or None,
    }
