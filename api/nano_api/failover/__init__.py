# SPDX-License-Identifier: Apache-2.0
"""Lost cells: their guests are started elsewhere, and they are cleaned when they are back."""
