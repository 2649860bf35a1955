# SPDX-License-Identifier: Apache-2.0
"""The only way by which values reach Ansible as variables.

Ansible evaluates templates in extra variables: ``{{ lookup('pipe', 'id') }}`` in a guest's name
would run on this machine. A string wrapped as ``__ansible_unsafe`` is never evaluated, in any
version of ansible-core that we support.
"""

from __future__ import annotations

from typing import Any

from nano_api.errors import InvalidInput


def encode_untrusted(value: Any) -> Any:
    """The value with every string marked as unsafe, at any depth.

    :raises InvalidInput: a key that Ansible gives a meaning of its own, or is no string
    """
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key.startswith("__ansible"):
                raise InvalidInput(f"the key {key!r} is reserved", field=str(key))
        return {key: encode_untrusted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode_untrusted(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be an Ansible variable")
