# SPDX-License-Identifier: Apache-2.0
"""The one error that the lab raises for anything its user can act on."""


class LabError(Exception):
    """Something a person can mend; the text is one sentence that says how."""
