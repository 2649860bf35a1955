# SPDX-License-Identifier: Apache-2.0
"""What every request and every worker shares: settings, database, secrets, live figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from nano_api.database import Database
from nano_api.live.figures import LiveFigures
from nano_api.secrets_box import SecretsBox
from nano_api.settings import Settings


@dataclass(frozen=True)
class Cloud:
    """The parts of one running API; made once, passed down, never looked up globally."""

    settings: Settings
    database: Database
    secrets: SecretsBox
    live: LiveFigures = field(default_factory=LiveFigures)


def _cloud_of(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


CurrentCloud = Annotated[Cloud, Depends(_cloud_of)]
