# SPDX-License-Identifier: GPL-3.0-or-later
"""The real cells of the repository's lab, for the tests on cells."""

pytest_plugins = ["tests.lab.fixtures"]
