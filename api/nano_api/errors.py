# SPDX-License-Identifier: Apache-2.0
"""The API's errors: those of the collection, and the few that only a service has."""

from __future__ import annotations

from nano_api import content  # noqa: F401  (makes the collection importable)

from ansible_collections.nano.cloud.plugins.module_utils.errors import (  # isort: skip
    Busy,
    CloudError,
    Conflict,
    HypervisorError,
    InvalidInput,
    NoSpace,
    NotFound,
    Unreachable,
    UnsafeImage,
    Unsupported,
)

__all__ = [
    "Busy",
    "CloudError",
    "Conflict",
    "Forbidden",
    "HypervisorError",
    "InvalidInput",
    "JobFailed",
    "NoAnswerInTime",
    "NoSpace",
    "NotFound",
    "Unauthenticated",
    "Unreachable",
    "UnsafeImage",
    "Unsupported",
]


class Unauthenticated(CloudError):
    """No session, or one that has ended."""

    code = "unauthenticated"


class Forbidden(CloudError):
    """The session is valid, but may not do this."""

    code = "forbidden"


class NoAnswerInTime(CloudError):
    """The job goes on, but did not end while the client waited."""

    code = "timeout"


class JobFailed(CloudError):
    """A job ended badly; carries the code that the job ended with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
