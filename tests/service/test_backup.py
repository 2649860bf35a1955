# SPDX-License-Identifier: Apache-2.0
"""`nanoctl backup` and `nanoctl restore`, with SQLite and with PostgreSQL."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from typer.testing import CliRunner

from nano_api.backup.archive import back_up, restore
from nano_api.backup.dumps import DUMP_NAMES
from nano_api.cli.main import app
from nano_api.cloud import Cloud
from nano_api.compute_pools.tables import ComputePool
from nano_api.data_folder import in_use
from nano_api.errors import CloudError, Conflict, InvalidInput, NotFound
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from nano_api.main import create_cloud
from nano_api.settings import Settings


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    return Settings(data=tmp_path / "data", database_url=url)


@pytest.fixture
def cloud(settings: Settings) -> Iterator[Cloud]:
    """A service with a pool, an image and a job that waits."""
    cloud = create_cloud(settings)
    (settings.data / "nano.toml").write_text("workers = 2\n")
    (settings.image_folder / "one.qcow2").write_bytes(b"an image")
    with cloud.database.transaction() as session:
        session.add(ComputePool(name="kept", enabled=True, storage="", network="", failover=False))
        jobs.submit(
            session,
            "guest_delete",
            subject=Subject("guest", "g1", "team.g1"),
            cells=[],
            requester=Requester("admin", ""),
        )
    yield cloud
    cloud.database.close()


def pools(settings: Settings) -> list[str]:
    cloud = create_cloud(settings)
    with cloud.database.reading() as session:
        names = sorted(pool.name for pool in session.query(ComputePool))
    cloud.database.close()
    return names


def test_what_was_backed_up_comes_back(cloud: Cloud, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    sealed = cloud.secrets.seal("a secret")
    manifest = back_up(settings, file, with_images=True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert manifest.database == cloud.database.engine.dialect.name
    with cloud.database.transaction() as session:
        session.add(ComputePool(name="later", enabled=True, storage="", network="", failover=False))
    (settings.image_folder / "one.qcow2").unlink()
    (settings.data / "secret.key").unlink()
    cloud.database.close()

    with pytest.raises(Conflict, match="--replace"):
        restore(settings, file)
    assert pools(settings) == ["default", "kept", "later"]
    _manifest, before = restore(settings, file, replace=True)
    assert pools(settings) == ["default", "kept"]
    again = create_cloud(settings)
    assert again.secrets.open(sealed) == "a secret"
    assert (settings.image_folder / "one.qcow2").read_bytes() == b"an image"
    with again.database.reading() as session:
        (job,) = jobs.recent(session, limit=9)
    assert (job.state, job.phase) == ("queued", "settle"), "an old deletion is not run again"
    again.database.close()
    restore(settings, Path(before), replace=True)
    assert pools(settings) == ["default", "kept", "later"]


def test_into_an_empty_place(cloud: Cloud, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    back_up(settings, file)
    everything = MetaData()
    everything.reflect(cloud.database.engine)
    other = Settings(data=tmp_path / "other", database_url=settings.database_url)
    if settings.database_url:
        everything.drop_all(cloud.database.engine)
    cloud.database.close()
    _manifest, before = restore(other, file)
    assert before == ""
    assert pools(other) == ["default", "kept"]
    assert not (other.image_folder / "one.qcow2").exists()
    for name in ("secret.key", "nano.toml"):
        assert (other.data / name).read_bytes() == (settings.data / name).read_bytes()


def test_refusals_change_nothing(cloud: Cloud, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    back_up(settings, file)
    content = file.read_bytes()
    with pytest.raises(Conflict, match="exists"):
        back_up(settings, file)
    assert file.read_bytes() == content
    with in_use(settings.data, alone=False, purpose="serve"), pytest.raises(Conflict, match="use"):
        restore(settings, file, replace=True)
    empty = Settings(data=tmp_path / "nothing")
    with pytest.raises(NotFound, match="no data"):
        back_up(empty, tmp_path / "x.tar.gz")
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match="cannot be read"):
        restore(empty, broken)
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz") as archive:
        archive.add(broken, "images/../../escaped")
    with pytest.raises(InvalidInput, match="it holds"):
        restore(empty, other)
    assert not (tmp_path.parent / "escaped").exists()
    _with_manifest(file, other, schema="9999")
    with pytest.raises(InvalidInput, match="newer"):
        restore(settings, other, replace=True)
    kind = "sqlite" if settings.database_url else "postgresql"
    _with_manifest(file, other, database=kind)
    with pytest.raises(InvalidInput, match="the backup is of a"):
        restore(settings, other, replace=True)
    with cloud.database.reading() as session:
        assert session.get(ComputePool, "kept") is not None


def _with_manifest(source: Path, target: Path, **changes: str) -> None:
    folder = target.with_suffix(".unpacked")
    with tarfile.open(source) as archive:
        archive.extractall(folder)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)


def test_a_damaged_dump_leaves_what_was_there(
    cloud: Cloud, settings: Settings, tmp_path: Path
) -> None:
    if not settings.database_url:
        pytest.skip("SQLite's file is replaced as a whole")
    file = tmp_path / "backup.tar.gz"
    back_up(settings, file)
    folder = tmp_path / "unpacked"
    with tarfile.open(file) as archive:
        archive.extractall(folder)
    dump = folder / DUMP_NAMES["postgresql"]
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    broken = tmp_path / "broken.tar.gz"
    with tarfile.open(broken, "w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, path.name)
    with pytest.raises(CloudError, match="pg_restore failed"):
        restore(settings, broken, replace=True)
    with cloud.database.reading() as session:
        assert session.get(ComputePool, "kept") is not None


def test_the_commands(tmp_path: Path) -> None:
    data = tmp_path / "data"
    create_cloud(Settings(data=data)).database.close()
    store = tmp_path / "store"
    store.mkdir()
    run = CliRunner()
    for _ in range(3):
        done = run.invoke(app, ["backup", "--data", str(data), "--keep", "2", str(store)])
        assert done.exit_code == 0, done.output
    kept = sorted(store.iterdir())
    assert len(kept) == 2
    refused = run.invoke(app, ["restore", "--data", str(data), str(kept[1])])
    assert refused.exit_code == 1
    assert "--replace" in refused.output
    done = run.invoke(app, ["restore", "--data", str(tmp_path / "new"), str(kept[1])])
    assert done.exit_code == 0, done.output
    assert "the backup has no images" in done.output
