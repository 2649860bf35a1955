# SPDX-License-Identifier: Apache-2.0
"""What things cost: programs for people, not tests. The figures are for reading."""
