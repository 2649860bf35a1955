# SPDX-License-Identifier: Apache-2.0
"""Settings: command line over ``NANO_*`` environment over ``nano.toml`` in the data folder."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

_GIB = 1 << 30
_LONGEST_SOCKET_FOLDER = 72


class Settings(BaseSettings):
    """One running API. Every path below ``data`` is made by the server itself."""

    model_config = SettingsConfigDict(env_prefix="NANO_", extra="forbid")

    data: Path = Field(description="folder of the database, images, keys and logs")
    inventory: Path | None = Field(None, description="Ansible inventory whose group 'cells' we use")
    bind: list[str] = Field(["127.0.0.1"], description="addresses to listen on")
    port: int = Field(5870, ge=0, le=65535)
    controller_url: str = Field(
        "", description="how cells reach this API; empty: the local address that faces the cell"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with our certificate (and what it was signed by): serve HTTPS"
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key")
    database_url: str = Field("", description="empty: SQLite in the data folder", repr=False)
    log_level: str = "INFO"

    workers: int = Field(4, ge=1, le=64, description="jobs that run at the same time")
    observer_threads: int = Field(
        16, ge=1, le=128, description="cells that are looked at, and opened, at the same time"
    )
    job_wait_seconds: float = Field(120, gt=0, description="longest wait of start, stop, delete")
    stop_timeout_seconds: int = Field(60, ge=1, description="time a guest gets to shut down")
    session_timeout_seconds: int = Field(180, ge=1)
    authorization: Literal["enforced", "menu-only"] = Field(
        "enforced", description="menu-only: any session may call anything, as in Nano"
    )
    trusted_proxies: list[str] = Field(
        [], description="addresses or networks whose X-Forwarded-For and X-Real-Ip are believed"
    )

    portal_dir: Path | None = Field(
        None, description="folder with Nano's unpacked web portal, served at /"
    )
    cors_origins: list[str] = Field(
        [], description="web pages of these origins may call the API and open consoles; * for all"
    )
    console_idle_seconds: float = Field(
        1800, gt=0, description="a console that nobody and nothing uses for so long is closed"
    )

    failover_after_seconds: float = Field(
        5, ge=0, description="how long a cell is lost before its guests are started elsewhere"
    )
    lease_seconds: int = Field(
        15, ge=6, le=600, description="how long guests of a pool with failover outlive its storage"
    )
    busy_cpu_percent: float = Field(
        80.0, gt=0, le=100, description="a cell busier than this gets no new guest; 100: never busy"
    )
    max_cores: int = Field(24, ge=1, description="cores of one guest")
    max_memory_bytes: int = Field(256 * _GIB, ge=1)
    max_disk_bytes: int = Field(2048 * _GIB, ge=1, description="size of one disk")
    max_upload_bytes: int = Field(128 * _GIB, ge=1)
    max_body_bytes: int = Field(4 << 20, ge=1 << 16, description="a request that is no upload")

    @field_validator("portal_dir")
    @classmethod
    def _has_a_portal(cls, value: Path | None) -> Path | None:
        if value is not None and not (value / "index.html").is_file():
            raise ValueError(f"{value} has no index.html: it is no unpacked portal")
        return value

    @model_validator(mode="after")
    def _has_both_parts_of_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: give both or none")
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for entry in value:
            ipaddress.ip_network(entry)  # its ValueError names what is wrong
        return value

    @property
    def effective_database_url(self) -> str:
        """The SQLAlchemy URL in use."""
        return self.database_url or f"sqlite:///{self.data / 'nano.db'}"

    @property
    def scheme(self) -> Literal["http", "https"]:
        """What we speak on our own port."""
        return "https" if self.tls_certificate else "http"

    @property
    def image_folder(self) -> Path:
        """Where uploaded images are kept, under names the server made."""
        return self.data / "images"

    def import_folder(self, kind: str) -> Path:
        """Where an administrator lays files that shall become images of a kind."""
        return self.data / "import" / f"{kind}_images"

    @property
    def log_folder(self) -> Path:
        """The API's log and, in ``jobs``, one log per job."""
        return self.data / "logs"

    @property
    def run_folder(self) -> Path:
        """Private folders of the runs that go on now."""
        return self.data / "run"

    @property
    def runtime_folder(self) -> Path:
        """Sockets of shared ssh connections, and the commands that open them.

        In the data folder where that is short enough: a socket's path may have 104 characters,
        of which ssh's own names take some 30.
        """
        folder = self.data.resolve() / "ssh"
        if len(str(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        digest = hashlib.sha256(str(self.data.resolve()).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"nano-cloud-{os.getuid()}-{digest}"

    def prepare_folders(self) -> None:
        """Make the folders; only their owner may look inside."""
        for folder in (
            self.data,
            self.image_folder,
            self.log_folder / "jobs",
            self.run_folder,
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then ``DATA/nano.toml``."""
        folder = init_settings().get("data") or env_settings().get("data")
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if folder:
            sources.append(TomlConfigSettingsSource(settings_cls, Path(folder) / "nano.toml"))
        return tuple(sources)
