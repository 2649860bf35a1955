# SPDX-License-Identifier: Apache-2.0
"""Figures of this moment: kept in memory by the process that observes, read by all."""
