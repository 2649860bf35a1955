# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every part of the tests may use."""

pytest_plugins = ["tests.lab.fixtures", "tests.postgresql"]
