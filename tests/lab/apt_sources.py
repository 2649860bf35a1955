# SPDX-License-Identifier: Apache-2.0
"""Where this machine gets Debian from, so that cells get it from the same mirror."""

import re
import shlex
from pathlib import Path

from tests.lab.commands import run

APT_DIRECTORY = Path("/etc/apt")


def debian_sources(codename: str) -> str:
    """Return apt sources (deb822 text) for one release, from this machine's own mirrors.

    Third-party archives are left out, and suites other than the release, its updates and its
    security updates; Debian's own addresses stand in when nothing is configured.
    """
    suites = {codename, f"{codename}-updates", f"{codename}-security"}
    found: list[tuple[str, str]] = []
    files = [APT_DIRECTORY / "sources.list", *sorted((APT_DIRECTORY / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        found += _from_stanzas(text) if path.suffix == ".sources" else _from_lines(text)
    chosen = [(uri, suite) for uri, suite in dict.fromkeys(found) if suite in suites]
    if (codename not in {suite for _, suite in chosen}) or not _reachable_from_a_build(chosen):
        chosen = [
            ("http://deb.debian.org/debian", codename),
            ("http://deb.debian.org/debian", f"{codename}-updates"),
            ("http://deb.debian.org/debian-security", f"{codename}-security"),
        ]
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        for uri, suite in chosen
    )


def _reachable_from_a_build(chosen: list[tuple[str, str]]) -> bool:
    """A CD-ROM or a directory of this machine is no mirror for a cell."""
    return all(re.match(r"https?://", uri) for uri, _ in chosen)


def _from_lines(text: str) -> list[tuple[str, str]]:
    """Read one-line sources: `deb [options] URI SUITE COMPONENT…`."""
    found = []
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if match and "main" in match[3].split():
            found.append((match[1].rstrip("/"), match[2].rstrip("/")))
    return found


def _from_stanzas(text: str) -> list[tuple[str, str]]:
    """Read deb822 sources."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ", "\t")):
                fields[name.strip().lower()] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" in fields.get("types", "").split() and "main" in fields.get("components", ""):
            found += [
                (uri.rstrip("/"), suite.rstrip("/"))
                for uri in fields.get("uris", "").split()
                for suite in fields.get("suites", "").split()
            ]
    return found


def proxy_options() -> list[str]:
    """Return mmdebstrap options that carry this machine's apt proxy into the new tree."""
    lines = run(["apt-config", "shell", "HTTP", "Acquire::http::Proxy"]).stdout.split()
    for line in lines:
        name, _, value = line.partition("=")
        if name == "HTTP":
            return [f'--aptopt=Acquire::http::Proxy "{shlex.split(value)[0]}"']
    return []
