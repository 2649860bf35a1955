# SPDX-License-Identifier: Apache-2.0
"""How a guest bridge is made, by whatever manages the host's network.

``live`` reads what the kernel has, one module per network manager plans the change, and
``transaction`` carries it out so that it undoes itself unless it is confirmed.
"""
