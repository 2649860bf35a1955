# SPDX-License-Identifier: Apache-2.0
"""What runs beside the endpoints: inventory watcher, observer, worker, failover."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nano_api.cells.inventory import InventoryWatcher
from nano_api.cloud import Cloud
from nano_api.failover.supervisor import Supervisor
from nano_api.jobs.presence import Presence
from nano_api.observer.observer import Observer
from nano_api.worker.loop import Worker
from nano_api.worker.recovery import Watch, recover


@contextmanager
def running(cloud: Cloud) -> Iterator[None]:
    """All of it, for the length of the block. Without an inventory there is nothing to do."""
    if cloud.settings.inventory is None:
        yield
        return
    _prepare_runtime_folder(cloud.settings.runtime_folder)
    watcher = InventoryWatcher(cloud, cloud.settings.inventory)
    observer = Observer(cloud)
    worker = Worker(cloud, cloud.settings.inventory)
    presence = Presence(cloud.database, worker.name)
    watch = Watch(cloud, presence)
    supervisor = Supervisor(cloud)
    watcher.start()
    presence.start()
    recover(cloud, presence)
    observer.start()
    worker.start()
    watch.start()
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop()
        watch.stop()
        worker.stop()
        presence.stop()
        observer.stop()
        watcher.stop()
        _close_shared_connections(cloud.settings.runtime_folder)


def _prepare_runtime_folder(folder: Path) -> None:
    """Ours alone: whoever else could write there could take over our ssh connections.

    :raises PermissionError: somebody else made it
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else; remove it")
    folder.chmod(0o700)


def _close_shared_connections(folder: Path) -> None:
    for socket in folder.iterdir():
        if socket.is_socket():
            command = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "cell"]
            subprocess.run(command, capture_output=True, timeout=10)
    shutil.rmtree(folder)
