# SPDX-License-Identifier: BSD-2-Clause
"""Errors that libraries raise and edges (a module, the REST API) translate.

An error names the object it is about and says what to do; ``code`` is what programs decide by.
"""

from __future__ import annotations

from typing import Any, Dict


class CloudError(Exception):
    """Something that a person has to know about.

    ``code`` is a stable lower-case word, ``message`` one sentence for people, ``context`` plain
    values (names, ids, sizes in bytes) that tell which object is meant. Never put secrets in it.
    """

    code = "internal"

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context: Dict[str, Any] = context

    def as_dict(self) -> Dict[str, Any]:
        """``{"code", "message", "context"}``: what a module returns as ``error``."""
        return {"code": self.code, "message": self.message, "context": self.context}


class InvalidInput(CloudError):
    """A value that can never work; the message names the field. Nothing was changed."""

    code = "invalid_input"


class NotFound(CloudError):
    """The object that was named does not exist."""

    code = "not_found"


class Conflict(CloudError):
    """The object's state forbids the change (it exists already, runs, is in use)."""

    code = "conflict"


class Busy(CloudError):
    """Another operation holds the object; trying again later can work."""

    code = "busy"


class UnsafeImage(CloudError):
    """An image file that is not what it was declared to be, or that reaches outside itself."""

    code = "unsafe_image"


class NoSpace(CloudError):
    """The storage has not enough room."""

    code = "no_space"


class Unreachable(CloudError):
    """A host or a service did not answer."""

    code = "unreachable"


class Unsupported(CloudError):
    """This host, libvirt or QEMU cannot do it."""

    code = "unsupported"


class PartialFailure(CloudError):
    """Some of several objects failed; ``values`` is what the module returns all the same."""

    code = "partial"

    def __init__(self, message: str, values: Dict[str, Any], **context: Any) -> None:
        super().__init__(message, **context)
        self.values = values


class HypervisorError(CloudError):
    """libvirt refused or failed; ``context`` has libvirt's own code and message."""

    code = "hypervisor"


def unforeseen(error: Exception) -> CloudError:
    """An error that nobody foresaw, in our form: edges still have to tell it."""
    return CloudError(f"unexpected {type(error).__name__}: {error}")
