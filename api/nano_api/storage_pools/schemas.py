# SPDX-License-Identifier: Apache-2.0
"""Storage pools on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from nano_api.envelope import WireModel


class StoragePoolDetail(BaseModel):
    """One storage pool."""

    type: Literal["nfs", "glusterfs"]
    host: str
    target: str


class StoragePoolSummary(StoragePoolDetail):
    """A storage pool in the list."""

    name: str


class StoragePoolBody(WireModel):
    """A storage pool's settings; they replace those that it had."""

    type: str = Field(default="", description="required: nfs or glusterfs")
    host: str = Field(default="", description="required: the server's name or address")
    target: str = Field(default="", description="required: the exported path, or the volume's name")
