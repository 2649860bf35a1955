# SPDX-License-Identifier: Apache-2.0
"""How the service itself does: for Prometheus, for load balancers, for who reads its log."""
