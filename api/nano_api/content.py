# SPDX-License-Identifier: Apache-2.0
"""Where the playbooks, roles and the collection are: in a checkout or in the wheel."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_CONTENT = _PACKAGE / "content"

#: The folder that holds ``ansible.cfg``, ``playbooks``, ``roles`` and ``collection``.
CONTENT_ROOT = _WHEEL_CONTENT if _WHEEL_CONTENT.is_dir() else _PACKAGE.parents[1]

PLAYBOOKS = CONTENT_ROOT / "playbooks"
ANSIBLE_CONFIG = CONTENT_ROOT / "ansible.cfg"

# The API parses and checks with the collection's own module_utils: one rule, one parser.
_COLLECTIONS = str(CONTENT_ROOT / "collection")
if _COLLECTIONS not in sys.path:
    sys.path.append(_COLLECTIONS)
