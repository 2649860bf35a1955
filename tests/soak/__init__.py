# SPDX-License-Identifier: Apache-2.0
"""A busy lab for hours: does anything grow that should not?"""
