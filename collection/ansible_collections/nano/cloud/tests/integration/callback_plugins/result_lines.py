# SPDX-License-Identifier: GPL-3.0-or-later
"""Each task's result as a line of JSON: cheaper than a task that would copy it to a file."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: result_lines
type: aggregate
short_description: Write each task's result to a file
description:
  - Appends a line of JSON for each result to the file that NANO_RESULT_LINES names.
"""


class CallbackModule(CallbackBase):
    """Callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "result_lines"
    CALLBACK_NEEDS_ENABLED = True

    def _keep(self, result: Any, failed: bool) -> None:
        told = {name: value for name, value in result.result.items() if name[:1] != "_"}
        with open(os.environ["NANO_RESULT_LINES"], "a", encoding="utf-8") as lines:
            lines.write(json.dumps({"failed": failed, **told}) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task is done."""
        self._keep(result, False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The module says that it failed, whether or not the play goes on."""
        del ignore_errors
        self._keep(result, True)
