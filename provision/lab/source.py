"""CPython's source for python-build, where python.org cannot be reached: a folder of files named by checksum."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab import git, image, network
from provision.lab.folder import cache
from provision.lab.machine import LabError, lock, run
from provision.lab.service import Service

if TYPE_CHECKING:
    from provision.lab.folder import Folder

PORT = 8089
URL = f"http://{network.GATEWAY}:{PORT}"
VERSION = "3.13.5"
ARCHIVE = f"https://www.python.org/ftp/python/{VERSION}/Python-{VERSION}.tar.xz"
DEBIAN = ("trixie", "python3.13")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def service(folder: Folder) -> Service:
    """A file server for the mirror."""
    git.link(folder.python, store())
    command = (
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        network.GATEWAY,
        "--directory",
        str(folder.python),
        str(PORT),
    )
    return Service("python", PORT, command)


def store() -> Path:
    """The cached sources, by checksum."""
    place = cache() / "python-sources"
    place.mkdir(exist_ok=True)
    return place


def reachable() -> bool:
    """Whether python.org answers within 3 s."""
    try:
        with urllib.request.urlopen(urllib.request.Request(ARCHIVE, method="HEAD"), timeout=3):
            return True
    except OSError:
        return False


def fill(folder: Folder, from_python_org: bool) -> Path:
    """Put the archive of VERSION into the mirror, verified, unless it is there."""
    wanted = checksum(folder)
    file = store() / wanted
    with lock("python-source", timeout=600):
        if file.is_file():
            return file
        print(f"lab: fetching the source of CPython {VERSION}, once", flush=True)
        with tempfile.TemporaryDirectory(dir=store(), prefix=".partial-") as scratch:
            found = download(Path(scratch)) if from_python_org else debian(Path(scratch))
            for archive in found:
                if hashlib.sha256(archive.read_bytes()).hexdigest() == wanted:
                    archive.chmod(0o644)
                    archive.replace(file)
                    return file
    raise LabError(f"No source of CPython {VERSION} with the checksum that pyenv names: {wanted}")


def checksum(folder: Folder) -> str:
    """The SHA-256 of the archive in pyenv's definition. Raises LabError."""
    definition = f"HEAD:plugins/python-build/share/python-build/{VERSION}"
    text = run("git", "-C", folder.git / "pyenv.git", "show", definition, env=git.environment(folder)).stdout
    match = re.search(rf"/Python-{re.escape(VERSION)}\.tar\.xz#([0-9a-f]{{64}})", text)
    if match is None:
        raise LabError(f"pyenv's definition of {VERSION} names no checksum of its .tar.xz")
    return match[1]


def download(scratch: Path) -> list[Path]:
    """Fetch the archive from python.org."""
    archive = scratch / "source.tar.xz"
    with urllib.request.urlopen(ARCHIVE, timeout=60) as answer, archive.open("wb") as file:
        shutil.copyfileobj(answer, file)
    return [archive]


def debian(scratch: Path) -> list[Path]:
    """Debian's source package carries python.org's own archive. apt's state and cache here are its own."""
    suite, package = DEBIAN
    archive = image.mirror().archive
    if not archive:
        raise LabError("python.org cannot be reached, and this machine names no mirror of Debian's source packages")
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (scratch / folder).mkdir(parents=True)
    sources = scratch / "etc/sources.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {archive} {suite} main\n")
    (scratch / "status").touch()
    options = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": scratch / "etc/none",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    words = ["apt-get", "-q"]
    for option, value in options.items():
        words += ["-o", f"{option}={value}"]
    run(*words, "update", timeout=180)
    run(*words, "source", "--download-only", package, timeout=300, cwd=scratch)
    return sorted(scratch.glob("*.orig.tar.*"))
