# SPDX-License-Identifier: Apache-2.0
"""All tables, gathered for the schema versions."""

from __future__ import annotations

import nano_api.address_pools.tables
import nano_api.cells.tables
import nano_api.compute_pools.tables
import nano_api.consoles.tables
import nano_api.guests.tables
import nano_api.images.tables
import nano_api.jobs.tables
import nano_api.live.tables
import nano_api.logs.tables
import nano_api.security_policies.tables
import nano_api.sessions.tables
import nano_api.storage_pools.tables
import nano_api.templates.tables
import nano_api.tokens.tables
import nano_api.users.tables
import nano_api.visibility.tables  # noqa: F401
from nano_api.database import Base

metadata = Base.metadata
