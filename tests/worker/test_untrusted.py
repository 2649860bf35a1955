# SPDX-License-Identifier: Apache-2.0
"""Values on their way to Ansible."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano_api.errors import InvalidInput
from nano_api.worker.untrusted import encode_untrusted

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abcxyz_"), inner),
    max_leaves=20,
)


def bare_strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return []
        return [text for item in value.values() for text in bare_strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in bare_strings(item)]
    return []


@given(VALUES)
def test_no_string_stays_bare_at_any_depth(value: Any) -> None:
    assert bare_strings(encode_untrusted(value)) == []


@pytest.mark.parametrize("key", ["__ansible_vault", "__ansible_unsafe", "__ansible_type"])
def test_keys_that_ansible_reads_itself_are_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="reserved"):
        encode_untrusted({"deep": [{key: "x"}]})


def test_what_is_no_plain_value_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="bytes"):
        encode_untrusted(b"x")
