# SPDX-License-Identifier: Apache-2.0
"""500 hostile texts through every text field of the REST API: ``make hostile``."""
