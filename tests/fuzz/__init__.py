# SPDX-License-Identifier: Apache-2.0
"""Requests made by a machine from our own description, good and bad: ``make fuzz``."""
