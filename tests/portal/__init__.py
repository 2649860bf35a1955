# SPDX-License-Identifier: Apache-2.0
"""Nano's own web portal in a real browser against the API and two real cells: `make portal-check`.

Not part of `make test`: the portal is not ours and is not in this repository.
"""
