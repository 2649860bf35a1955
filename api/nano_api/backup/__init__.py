# SPDX-License-Identifier: Apache-2.0
"""The service's data in one file, and back."""
