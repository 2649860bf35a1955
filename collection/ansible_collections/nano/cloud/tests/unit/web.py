# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real web server for downloads, with the faults that real ones have."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server says; ``requests`` are the headers that it was sent."""

    content: bytes
    etag: str = '"one"'
    ranges: bool = True
    length: bool = True
    break_after: list[int] = field(default_factory=list)
    token: str = ""
    redirect: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve on a port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(dict(self.headers))
            if site.redirect and self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", site.redirect)
                self.end_headers()
                return
            if site.token and self.headers.get("Authorization") != f"Bearer {site.token}":
                self.send_error(401)
                return
            self._send_content()

        def _send_content(self) -> None:
            start, total = 0, len(site.content)
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", site.etag) == site.etag
            if match and site.ranges and same:
                start = int(match.group(1))
                if start >= total:
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            if site.ranges:
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", site.etag)
            if site.length:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()
            body = site.content[start:]
            if site.break_after:
                body = body[: site.break_after.pop(0)]
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/image"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
