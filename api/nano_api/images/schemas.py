# SPDX-License-Identifier: Apache-2.0
"""Images on the wire. Sizes are bytes, times the server's local ``YYYY-MM-DD HH:MM:SS``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from nano_api.clock import wire_time
from nano_api.envelope import WireModel
from nano_api.images.inspection import FORMATS
from nano_api.images.service import progress_of
from nano_api.images.tables import Image, Kind


class CreateImageBody(WireModel):
    """A new image; its file is uploaded afterwards."""

    name: str = Field(default="", description="required, unique in the group: [A-Za-z0-9_.-]")
    owner: str = Field(default="", description="required")
    group: str = Field(default="", description="required")
    description: str = ""
    tags: list[str] = Field(default_factory=list)
    guest: str = Field(
        default="", description="disk images: build it from this guest's system disk"
    )


class ChangeImageBody(WireModel):
    """What to change; empty fields stay as they are."""

    name: str = ""
    owner: str = ""
    group: str = ""
    description: str = ""
    tags: list[str] = Field(default_factory=list)


class OwnerBody(WireModel):
    """Who shall own what is imported."""

    owner: str = Field(default="", description="required")
    group: str = Field(default="", description="required")


class NewImage(BaseModel):
    """The image that was made."""

    id: str


class ImageSummary(BaseModel):
    """An image in a search."""

    name: str
    id: str
    owner: str
    group: str
    description: str | None = Field(default=None, description="left out when empty")
    created: bool = Field(description="whether its file is there")
    size: int = Field(description="of the file, bytes")
    tags: list[str] | None = Field(default=None, description="left out when there are none")
    create_time: str
    modify_time: str


class ImageDetail(BaseModel):
    """One image, also while its file arrives."""

    name: str
    owner: str
    group: str
    description: str
    created: bool = Field(description="whether its file is there")
    progress: int = Field(description="percent of the file that has arrived", ge=0, le=100)
    size: int = Field(description="of the file, bytes")
    tags: list[str]
    create_time: str
    modify_time: str
    format: Literal["qcow2", "raw", "iso"] | None = Field(default=None, description="once created")
    virtual_size: int | None = Field(default=None, description="of the disk inside, bytes")
    sha1: str | None = Field(default=None, description="of the file, hex")
    sha256: str | None = Field(default=None, description="of the file, hex")


def upload_body(kind: Kind) -> dict[str, Any]:
    """The request body of an upload, for OpenAPI: it is parsed as a stream, not by a model."""
    fields = {
        "image": {"type": "string", "format": "binary", "description": "the file"},
        "checksum": {"type": "string", "description": "the file's SHA-1 or SHA-256 in hex"},
        "format": {
            "type": "string",
            "enum": list(FORMATS[kind]),
            "default": FORMATS[kind][0],
            "description": "what the file is; it must really be that",
        },
    }
    schema = {"type": "object", "required": ["image"], "properties": fields}
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


#: The replies of a download, for OpenAPI.
DOWNLOAD_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file. Errors come as the envelope, in JSON.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            "Signature": {"schema": {"type": "string"}, "description": "SHA-1 of the whole file"},
            "ETag": {"schema": {"type": "string"}, "description": "SHA-256 of the whole file"},
        },
    },
    206: {"description": "The part that the header Range asked for."},
    416: {"description": "The range lies outside the file."},
}


def summary_of(image: Image) -> dict[str, Any]:
    """An image as a search shows it."""
    return {
        "name": image.name,
        "id": image.id,
        "owner": image.owner,
        "group": image.group,
        "description": image.description or None,
        "created": image.created,
        "size": image.size_bytes,
        "tags": image.tags or None,
        "create_time": wire_time(image.created_at),
        "modify_time": wire_time(image.modified_at),
    }


def detail_of(image: Image, received_bytes: int, job_percent: int | None) -> dict[str, Any]:
    """One image; ``received_bytes`` is how much of a running upload is there.

    ``job_percent``: how far the job is that makes it, None without one. Only its end says that the
    image is created: who waits for that wants to do the next thing with the guest.
    """
    detail = {
        "name": image.name,
        "owner": image.owner,
        "group": image.group,
        "description": image.description,
        "created": image.created and job_percent is None,
        "progress": progress_of(image, received_bytes, job_percent),
        "size": image.size_bytes,
        "tags": image.tags,
        "create_time": wire_time(image.created_at),
        "modify_time": wire_time(image.modified_at),
    }
    if image.created:
        detail |= {
            "format": image.format,
            "virtual_size": image.virtual_size_bytes,
            "sha1": image.sha1,
            "sha256": image.sha256,
        }
    return detail
