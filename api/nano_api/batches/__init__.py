# SPDX-License-Identifier: Apache-2.0
"""Many guests in one request."""
