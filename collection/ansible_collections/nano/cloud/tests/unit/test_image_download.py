# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a real server that breaks off, changes its mind, redirects, refuses."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nano.cloud.plugins.module_utils import image_download
from ansible_collections.nano.cloud.plugins.module_utils.errors import (
    CloudError,
    InvalidInput,
    NoSpace,
    NotFound,
    Unreachable,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_download import Download

from .web import Site, serving

CONTENT = os.urandom(3 * 2**20 + 17)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_download, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(image_download, "_CHUNK_BYTES", 2**16)


def download(folder: Path, url: str, token: str | None = None, room: Any = None) -> Download:
    return Download(
        url, token, str(folder / ".partial"), str(folder / "state"), room or (lambda _needed: None)
    )


def fetched(folder: Path) -> bytes:
    return (folder / ".partial").read_bytes()


@pytest.mark.parametrize(("ranges", "length"), [(True, True), (False, True), (False, False)])
def test_plain(tmp_path: Path, ranges: bool, length: bool) -> None:
    with serving(Site(CONTENT, ranges=ranges, length=length)) as site:
        assert download(tmp_path, site.url).run(0)
        assert fetched(tmp_path) == CONTENT
        assert download(tmp_path, site.url).run(0)
        assert len(site.requests) == 1, "what is complete is not asked for again"


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    with serving(Site(CONTENT, break_after=[100_000, 1_000_000])) as site:
        assert download(tmp_path, site.url).run(0)
    assert fetched(tmp_path) == CONTENT
    assert "Range" not in site.requests[0]
    assert len(site.requests) == 3
    assert all("If-Range" in request for request in site.requests[1:])


def test_slices_of_time(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as site:
        seen, done = [], False
        while not done:
            step = download(tmp_path, site.url)
            done = step.run(0.000001)
            seen.append(step.progress_percent())
        assert len(seen) > 5
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 50
    assert fetched(tmp_path) == CONTENT


def test_a_server_that_cannot_resume_is_read_to_the_end(tmp_path: Path) -> None:
    with serving(Site(CONTENT, ranges=False)) as site:
        assert download(tmp_path, site.url).run(0.000001)
    assert fetched(tmp_path) == CONTENT


def test_changed_content_is_fetched_anew(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as site:
        assert not download(tmp_path, site.url).run(0.000001)
        site.content, site.etag = CONTENT[::-1], '"two"'
        assert download(tmp_path, site.url).run(0)
        assert fetched(tmp_path) == CONTENT[::-1]
        site.content, site.etag = b"short", '"three"'
        (tmp_path / ".partial").write_bytes(CONTENT[:100])
        (tmp_path / "state").write_text('{"url": "' + site.url + '"}')
        assert download(tmp_path, site.url).run(0)
        assert fetched(tmp_path) == b"short"


def test_another_url_starts_anew(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as first, serving(Site(CONTENT[::-1])) as second:
        assert not download(tmp_path, first.url).run(0.000001)
        assert download(tmp_path, second.url).run(0)
    assert fetched(tmp_path) == CONTENT[::-1]


def test_half_written_state_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "state").write_text('{"url": "ht')
    (tmp_path / ".partial").write_bytes(b"rubbish")
    with serving(Site(CONTENT)) as site:
        assert download(tmp_path, site.url).run(0)
    assert fetched(tmp_path) == CONTENT


def test_token(tmp_path: Path) -> None:
    with serving(Site(CONTENT, token="secret")) as site:
        with pytest.raises(Unreachable, match="bearer_token"):
            download(tmp_path, site.url).run(0)
        assert download(tmp_path, site.url, token="secret").run(0)


def test_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as target, serving(Site(b"", redirect=target.url)) as site:
        moved = site.url.replace("/image", "/moved")
        assert download(tmp_path, moved, token="secret").run(0)
    assert "Authorization" in site.requests[0]
    assert all("Authorization" not in request for request in target.requests)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://x/"])
def test_redirects_elsewhere_are_refused(tmp_path: Path, target: str) -> None:
    with (
        serving(Site(CONTENT, redirect=target)) as site,
        pytest.raises(Unreachable, match="redirects to"),
    ):
        download(tmp_path, site.url.replace("/image", "/moved")).run(0)
    assert not (tmp_path / ".partial").exists()


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/image"
        with pytest.raises(Unreachable, match="cannot be fetched"):
            download(tmp_path, url).run(0)


def test_no_room(tmp_path: Path) -> None:
    def refuse(needed: int) -> None:
        assert needed == len(CONTENT)
        raise NoSpace("full")

    with serving(Site(CONTENT)) as site, pytest.raises(NoSpace):
        download(tmp_path, site.url, room=refuse).run(0)
    assert not (tmp_path / ".partial").exists()


def test_local_files(tmp_path: Path) -> None:
    source = tmp_path / "a file"
    source.write_bytes(CONTENT)
    url = source.as_uri()
    assert not download(tmp_path, url).run(0.000001)
    assert download(tmp_path, url).run(0)
    assert fetched(tmp_path) == CONTENT
    with pytest.raises(NotFound):
        download(tmp_path, (tmp_path / "none").as_uri()).run(0)
    with pytest.raises((InvalidInput, NotFound)):
        download(tmp_path, "file:///dev/zero").run(0)


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".partial").symlink_to(victim)
    with serving(Site(CONTENT)) as site:
        (tmp_path / "state").write_text(json.dumps({"url": site.url}))
        with pytest.raises(CloudError, match="cannot write"):
            download(tmp_path, site.url).run(0)
    assert victim.read_text() == "precious"
