# SPDX-License-Identifier: Apache-2.0
"""A small client of the REST API, for tests and for `make up`: what a script of a user would do."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

MENUS = [
    "dashboard",
    "compute_pool",
    "address_pool",
    "storage_pool",
    "instance",
    "image",
    "media",
    "templates",
    "policies",
    "user",
    "log",
    "visibility",
]


class ApiError(Exception):
    """The envelope of a reply had an error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Reply:
    """A success: HTTP status, data, and the id of the job that the request started, if any."""

    status: int
    data: Any
    job: str | None


class NanoClient:
    """Talks to one API."""

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 150,
        credential: str = "",
        trusted: ssl.SSLContext | bool = True,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1", timeout=timeout_seconds, trust_env=False, verify=trusted
        )
        if credential:
            self._http.headers["Nano-Session"] = credential

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """One request. Raises ApiError when the envelope has an error."""
        reply = self._http.request(method, path, json=body)
        return self._reply(reply)

    def call_briefly(self, method: str, path: str, body: Any = None) -> Reply:
        """As `call`, but httpx.TimeoutException is raised when no reply comes at once."""
        return self._reply(self._http.request(method, path, json=body, timeout=0.3))

    def get(self, path: str) -> Any:
        """The data of a GET."""
        return self.call("GET", path).data

    def wait_until_it_serves(self, seconds: float = 120) -> None:
        """Raises TimeoutError when it never answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._http.get("/system/")
                return
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self._http.base_url} does not answer") from None
                time.sleep(0.1)

    def initialise(self, user: str, password: str) -> None:
        """Make the first account of a new system; nothing on one that has one."""
        if not self.get("/system/")["ready"]:
            self.call("POST", "/system/", {"user": user, "password": password, "menu": MENUS})

    def login(self, user: str, password: str) -> str:
        """Open a session and use it from now on; its id."""
        body = {"user": user, "password": password, "nonce": "0123456789abcdef"}
        data = self.call("POST", "/sessions/", body).data
        self._http.headers["Nano-Session"] = data["session"]
        return str(data["session"])

    def upload_image(
        self, name: str, file: Path, *, owner: str, group: str, kind: str = "disk"
    ) -> str:
        """Make a disk image from a qcow2 file, or a media image from an ISO; its id."""
        body = {"name": name, "owner": owner, "group": group, "tags": ["linux"]}
        image_id = str(self.call("POST", f"/{kind}_images/", body).data["id"])
        with file.open("rb") as content:
            files = {"image": (file.name, content)}
            self._reply(self._http.post(f"/{kind}_images/{image_id}/file/", files=files))
        return image_id

    def download(self, path: str, part: str = "") -> tuple[bytes, str]:
        """A file, or the part of it that a Range header names, and its signature."""
        headers = {"Range": part} if part else {}
        reply = self._http.get(path, headers=headers)
        if reply.headers["Content-Type"] == "application/json":
            self._reply(reply)
        return reply.content, reply.headers["Signature"]

    def create_guest(self, order: dict[str, Any]) -> tuple[str, str]:
        """Ask for a guest; its id and the job's."""
        reply = self.call("POST", "/guests/", order)
        assert reply.status == 202, reply
        assert reply.job is not None, reply
        return str(reply.data["id"]), reply.job

    def wait_for_guest(
        self,
        guest_id: str,
        seconds: float = 120,
        on_progress: Callable[[int], None] = lambda _percent: None,
    ) -> dict[str, Any]:
        """The guest once it is created (200 after 201s). Raises ApiError when creation failed."""
        deadline = time.monotonic() + seconds
        while True:
            reply = self.call("GET", f"/guests/{guest_id}")
            if reply.status == 200:
                return dict(reply.data)
            assert reply.status == 201, reply
            on_progress(int(reply.data["progress"]))
            if time.monotonic() > deadline:
                raise TimeoutError(f"guest {guest_id} is still being created: {reply.data}")
            time.sleep(0.1)

    def wait_for_job(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        """The job once it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            job = dict(self.get(f"/jobs/{job_id}"))
            if job["state"] in ("succeeded", "failed", "canceled"):
                return job
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} does not end: {job}")
            time.sleep(0.1)

    def wait_for_live_cells(self, names: set[str], seconds: float = 40) -> None:
        """Wait until the API has seen each of these cells."""
        deadline = time.monotonic() + seconds
        while True:
            cells = {cell["name"] for cell in self.all_cells() if cell["alive"]}
            if names <= cells:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"cells {sorted(names - cells)} are not alive")
            time.sleep(0.2)

    def all_cells(self) -> list[dict[str, Any]]:
        """The cells of every pool, and those of none."""
        found = list(self.get("/compute_pool_cells/"))
        for pool in self.get("/compute_pools/"):
            found += self.get(f"/compute_pool_cells/{pool['name']}")
        return found

    @contextmanager
    def events(self, job_id: str, after: int = 0) -> Iterator[Iterator[str]]:
        """The lines of a job's event stream."""
        headers = {"Last-Event-ID": str(after)}
        with self._http.stream("GET", f"/jobs/{job_id}/events", headers=headers) as stream:
            yield stream.iter_lines()

    def job_log(self, job_id: str) -> str:
        """Ansible's output of a job."""
        return self._http.get(f"/jobs/{job_id}/log").text

    @staticmethod
    def _reply(reply: httpx.Response) -> Reply:
        envelope = reply.json()
        if envelope["error_code"] != 0:
            raise ApiError(envelope["error_code"], envelope["message"])
        return Reply(reply.status_code, envelope["data"], reply.headers.get("Nano-Job"))
