# SPDX-License-Identifier: Apache-2.0
"""libvirt's event loop: one thread that serves the events and keepalives of all connections."""

from __future__ import annotations

import threading
from typing import Any

import libvirt
import structlog

log = structlog.get_logger(__name__)

_lock = threading.Lock()
_thread: threading.Thread | None = None


def ensure_running() -> None:
    """Start it, once in a process's life; to be called before the first connection.

    libvirt cannot be given another loop later, so the thread ends with the process.
    """
    global _thread
    with _lock:
        if _thread is not None:
            return
        libvirt.registerErrorHandler(_ignore_error_output, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            log.exception("libvirt's event loop stumbled")


def _ignore_error_output(_context: Any, _error: Any) -> None:
    """libvirt prints every error to standard error unless told otherwise; we raise and log."""
