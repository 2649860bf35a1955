# SPDX-License-Identifier: Apache-2.0
"""HTTPS on our own port, and cells that fetch images through it."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from nano_api.cells.address import certificate_for_cells, controller_url_for
from nano_api.settings import Settings

from ansible_collections.nano.cloud.plugins.module_utils.errors import (  # isort: skip
    InvalidInput,
    Unreachable,
)
from ansible_collections.nano.cloud.plugins.module_utils.image_download import (  # isort: skip
    Download,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nano-cloud")])
    begin = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def test_half_of_a_pair_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Settings(data=tmp_path, tls_certificate=pair[0])


def test_cells_are_told_where_and_whom_to_trust(pair: tuple[Path, Path], tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, tls_certificate=pair[0], tls_key=pair[1])
    assert controller_url_for(settings, "127.0.0.1") == "https://127.0.0.1:5870"
    assert certificate_for_cells(settings) == pair[0].read_text()
    assert certificate_for_cells(Settings(data=tmp_path)) == ""


def test_the_service_answers_over_tls_and_cells_fetch_from_it(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nano_api.cli.main", "serve", "--data", str(tmp_path / "data")]
    environment = {"NANO_TLS_CERTIFICATE": str(pair[0]), "NANO_TLS_KEY": str(pair[1])}
    with open(tmp_path / "log", "wb") as log:
        service = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        url = f"https://127.0.0.1:{port}/api/v1/openapi.json"
        trusting = ssl.create_default_context(cafile=str(pair[0]))
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(url, context=trusting) as reply:
                    assert reply.status == 200
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.2)
        second = subprocess.run(
            [*command, "--port", "0"], env=environment, capture_output=True, text=True
        )
        assert second.returncode == 1
        assert "is in use by another nanoctl" in second.stderr
        files = str(tmp_path / "partial"), str(tmp_path / "state")
        Download(url, None, *files, lambda _bytes: None, pair[0].read_text()).run(0)
        assert b'"openapi"' in (tmp_path / "partial").read_bytes()
        with pytest.raises(InvalidInput, match="ca_certificate"):
            Download(url + "?", None, *files, lambda _bytes: None, "nonsense").run(0)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            Download(url + "?", None, *files, lambda _bytes: None).run(0)
    finally:
        service.terminate()
        service.wait(timeout=30)
