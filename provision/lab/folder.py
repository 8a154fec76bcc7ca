"""Where a lab keeps its state: .lab in the project, or PROVISION_LAB."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from provision.lab.machine import LabError, until


@dataclass(frozen=True)
class Folder:
    """The paths of one lab's state."""

    path: Path

    @property
    def servers(self) -> Path:
        """A folder for each server."""
        return self.path / "servers"

    @property
    def run(self) -> Path:
        """Records of running processes."""
        return self.path / "run"

    @property
    def log(self) -> Path:
        """Logs of servers and services."""
        return self.path / "log"

    @property
    def git(self) -> Path:
        """The repositories that the git service offers."""
        return self.path / "git"

    @property
    def acme(self) -> Path:
        """Pebble's files."""
        return self.path / "acme"

    @property
    def python(self) -> Path:
        """The link to CPython's sources."""
        return self.path / "python-mirror"

    @property
    def trash(self) -> Path:
        """Disks that are being deleted."""
        return self.path / "trash"

    @property
    def key(self) -> Path:
        """The private key that opens every server."""
        return self.path / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The servers' host keys."""
        return self.path / "known_hosts"

    @property
    def ops_password(self) -> Path:
        """The sudo password of ops."""
        return self.path / "ops-password"

    @property
    def inventory(self) -> Path:
        """lab.yml, which inventories/lab.yml includes."""
        return self.path / "lab.yml"

    @property
    def app_env(self) -> Path:
        """The sample app's env_file."""
        return self.path / "app.env"

    @property
    def api_ca(self) -> Path:
        """The CA of Pebble's own API."""
        return self.path / "acme-api-ca.pem"

    @property
    def root_ca(self) -> Path:
        """The root of the certificates that Pebble issues."""
        return self.path / "acme-root.pem"

    @property
    def gitconfig(self) -> Path:
        """The git service's configuration."""
        return self.path / "gitconfig"

    @property
    def dns(self) -> Path:
        """dnsmasq's configuration."""
        return self.path / "dns.conf"

    def create(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.servers, self.run, self.log, self.git, self.acme, self.trash):
            folder.mkdir(parents=True, exist_ok=True)

    def hand_over(self) -> None:
        """Under sudo, give the caller the files that it needs without root."""
        owner = os.environ.get("SUDO_UID")
        if owner is None:
            return
        group = os.environ.get("SUDO_GID", owner)
        public = self.key.with_suffix(".pub")
        mine = (self.path, self.git, self.key, public, self.known_hosts, self.ops_password)
        for path in (*mine, self.inventory, self.api_ca, self.root_ca):
            if path.exists():
                os.chown(path, int(owner), int(group))

    def remove(self) -> None:
        """Remove everything that the lab made here. Raises LabError after two minutes."""
        folders = (self.servers, self.run, self.log, self.git, self.acme, self.trash)

        def removed() -> bool:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            return not any(folder.exists() for folder in folders)

        if not until(removed, timeout=120, pause=0.2):
            raise LabError(f"Not all of {self.path} could be removed; see what holds it: ls -lR {self.path}")
        for file in (
            self.python,
            self.app_env,
            self.key,
            self.key.with_suffix(".pub"),
            self.known_hosts,
            self.ops_password,
            self.inventory,
            self.api_ca,
            self.root_ca,
            self.gitconfig,
            self.dns,
        ):
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def project() -> Path:
    """The nearest folder, from the working directory up, with a pyproject.toml or tasks.py. Raises LabError."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() or (folder / "tasks.py").is_file():
            return folder
    raise LabError(f"No project here: neither {here} nor a folder above it has a tasks.py. Change to the project.")


def current() -> Folder:
    """The lab of PROVISION_LAB or, if that is not set, of the project. Raises LabError."""
    chosen = os.environ.get("PROVISION_LAB")
    return Folder((Path(chosen) if chosen else project() / ".lab").resolve())


def cache() -> Path:
    """The folder for what outlives a lab: images, sources, pyenv."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "provision" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
