"""The base image of a suite: what a bare VPS has and no more, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from provision.lab.folder import cache
from provision.lab.machine import LabError, lock, run

SUITES = ("bullseye", "bookworm", "trixie")
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "iproute2",
    "iputils-ping",
    "netbase",
    "procps",
    "less",
)
# What deploys install, and what takes longest: a server that has it is `used`.
USED = ("curl", "git", "python3-venv", "certbot")
CUSTOMIZE = Path(__file__).with_name("customize.sh")
DEBIAN = Path(__file__).with_name("debian.sh")
AUTHORITIES = Path("/usr/local/share/ca-certificates")


@dataclass(frozen=True)
class Mirror:
    """Where Debian's packages come from; empty where only mmdebstrap knows."""

    archive: str = ""
    security: str = ""

    def sources(self, suite: str) -> list[str]:
        """The lines of apt's sources.list (sources.list(5)) for a suite such as `bookworm`."""
        archive = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        security = [f"deb {self.security} {suite}-security main"]
        return (archive if self.archive else []) + (security if self.archive and self.security else [])


def mirror(etc: Path = Path("/etc")) -> Mirror:
    """The mirror that this machine uses, when it is a Debian; mmdebstrap has a default of its own."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', read(etc / "os-release"), re.MULTILINE))
    if release.get("ID") != "debian":
        return Mirror()
    codename = release.get("VERSION_CODENAME", "")
    found: dict[str, str] = {}
    for uri, suites in entries(etc / "apt"):
        for suite in suites:
            found.setdefault(suite, uri.rstrip("/"))
    return Mirror(found.get(codename, ""), found.get(f"{codename}-security", ""))


def entries(apt: Path) -> list[tuple[str, list[str]]]:
    """URI and suites of each of apt's sources, of either format."""
    found = []
    for file in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))):
        for line in read(file).splitlines():
            if match := re.match(r"deb\s+(?:\[.*?\]\s+)?(https?://\S+)\s+(\S+)", line):
                found.append((match[1], [match[2]]))
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", read(file)):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                found += [
                    (uri, fields.get("Suites", "").split())
                    for uri in fields.get("URIs", "").split()
                    if uri.startswith("http")
                ]
    return found


def read(file: Path) -> str:
    """The file's text; empty if there is no such file."""
    return file.read_text() if file.is_file() else ""


def authorities() -> list[Path]:
    """This machine's own CA certificates."""
    return sorted(AUTHORITIES.rglob("*.crt"))


def packages(used: bool) -> tuple[str, ...]:
    """The packages of a bare image, or of a used one."""
    return PACKAGES + (USED if used else ())


def place(suite: str, used: bool = False) -> Path:
    """The image's folder, by a hash of all that goes into it. Raises LabError for an unknown suite."""
    if suite not in SUITES:
        raise LabError(f"No suite {suite!r}; there are: {', '.join(SUITES)}.")
    recipe = hashlib.sha256()
    for part in (*packages(used), *mirror().sources(suite), CUSTOMIZE.read_text()):
        recipe.update(part.encode() + b"\0")
    for authority in authorities():
        recipe.update(authority.read_bytes())
    return cache() / f"{suite}-{recipe.hexdigest()[:12]}"


def ensure(suite: str, used: bool = False) -> Path:
    """The image's folder; made beside it and renamed, so a folder by that name is always whole."""
    image = place(suite, used)
    with lock(f"image-{suite}", timeout=900):
        for half in image.parent.glob(f".{suite}-*"):
            shutil.rmtree(half)
        if not image.is_dir():
            build(suite, image, packages(used))
    return image


def build(suite: str, image: Path, include: tuple[str, ...]) -> None:
    """Make the image with these packages; about half a minute."""
    print(
        f"lab: making {'the' if include == PACKAGES else 'a used'} {suite} base image, once: about half a minute",
        flush=True,
    )
    begun = time.monotonic()
    half = image.with_name(f".{image.name}")
    include_them = f"--include={','.join(include)}"
    sources = mirror().sources(suite)
    run("sh", DEBIAN, half, "--mode=root", "--variant=minbase", include_them, suite, half, *sources, timeout=900)
    extra = half / AUTHORITIES.relative_to("/")
    extra.mkdir(parents=True, exist_ok=True)
    for authority in authorities():
        shutil.copy(authority, extra)
    run("chroot", half, "sh", stdin=CUSTOMIZE.read_text(), timeout=120)
    half.rename(image)
    print(f"lab: {suite} base image in {time.monotonic() - begun:.0f} s: {image}", flush=True)
