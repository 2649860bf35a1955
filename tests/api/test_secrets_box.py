# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest and tickets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nano_api.secrets_box import SecretsBox


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = SecretsBox.at(path).seal("Jürgens Wort")
    assert "Wort" not in sealed
    assert path.stat().st_mode & 0o777 == 0o600
    assert SecretsBox.at(path).open(sealed) == "Jürgens Wort"


def test_another_key_or_a_changed_text_opens_nothing(tmp_path: Path) -> None:
    box = SecretsBox.at(tmp_path / "one")
    sealed = box.seal("word")
    with pytest.raises(ValueError, match="does not belong to this key"):
        SecretsBox.at(tmp_path / "two").open(sealed)
    with pytest.raises(ValueError, match="does not belong to this key"):
        box.open(sealed[:-8] + "AAAAAAA=")


def test_a_ticket_is_for_one_purpose_and_a_while(tmp_path: Path) -> None:
    box = SecretsBox.at(tmp_path / "key")
    ticket = box.ticket("image:1")
    assert box.ticket_is_for(ticket, "image:1", 60)
    assert not box.ticket_is_for(ticket, "image:2", 60)
    assert not box.ticket_is_for("gAAAAAB-nonsense", "image:1", 60)
    assert not box.ticket_is_for("", "image:1", 60)
    time.sleep(2.1)
    assert not box.ticket_is_for(ticket, "image:1", 1)
