"""What Vagrant says of its machines. `vagrant` itself is a script here that answers as the real one does and counts its calls."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from provision.controller.machines import Machine, parse, parse_ports
from provision.controller.vagrant import located
from provision.errors import InventoryError, VagrantError
from provision.inventory import load
from provision.report.console import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAID = """\
Host vm1
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/Users/ann lee/app/.vagrant/machines/vm1/virtualbox/private_key"
  IdentityFile /second
  IdentitiesOnly yes
  LogLevel FATAL

Host vm2
  HostName 192.168.121.7
  User debian
  Port 22
  IdentityFile C:/keys/private_key
  LogLevel FATAL

"""
PORTS = """\
1795320691,vm1,metadata,provider,virtualbox
1795320691,,ui,info,The forwarded ports for the machine are listed below.
1795320691,,ui,info,    22 (guest) => 2222 (host)
1795320691,vm1,forwarded_port,22,2222
1795320691,vm1,forwarded_port,443,8443
"""
INVENTORY = """\
connect: vagrant
hosts: {vm1: , vm2: }
"""


@dataclass
class Server:
    """What shows a host key over SSH, and no more."""

    port: int
    key: paramiko.PKey

    @property
    def line(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    """Servers that show a host key of their own."""
    listening: list[socket.socket] = []

    def start() -> Server:
        key = paramiko.ECDSAKey.generate()
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(key)
                transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())

        threading.Thread(target=answer, daemon=True).start()
        return Server(listener.getsockname()[1], key)

    yield start
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@dataclass
class Project:
    """A folder with a Vagrantfile and an inventory, and machines that are said to be there."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / "inventories/vagrant.yml"

    def made(self, name: str, id_: str) -> None:
        file = self.folder / f".vagrant/machines/{name}/virtualbox/id"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(id_)

    def says(self, **ports: int) -> None:
        (self.folder / "said").write_text(
            "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n" for name, port in ports.items())
        )

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def pinned(self, name: str) -> str:
        return (self.folder / f".vagrant/provision/{name}.known_hosts").read_text().splitlines()[1]

    def located(self, *names: str) -> list[tuple[str, int]]:
        hosts = load(self.inventory, {}).hosts
        return [(host.address, host.port) for host in located([hosts[name] for name in names], self.inventory)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(tmp_path / "a project")
    (found.folder / "inventories").mkdir(parents=True)
    (found.folder / "Vagrantfile").touch()
    found.inventory.write_text(INVENTORY)
    index = tmp_path / "home/data/machine-index/index"
    index.parent.mkdir(parents=True)
    script = (
        "#!/bin/sh\n"
        f"echo \"$*\" >>'{found.folder}/calls'\n"
        f"date +%s%N >{index}\n"
        f"case $1 in ssh-config) cat '{found.folder}/said' ;; *) exit 1 ;; esac\n"
        f"if [ -e '{found.folder}/error' ]; then cat '{found.folder}/error' >&2; exit 1; fi\n"
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/vagrant").write_text(script)
    (tmp_path / "bin/vagrant").chmod(0o755)
    for name in ("VAGRANT_CWD", "VAGRANT_DOTFILE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return found


def test_ssh_config_has_several_machines_and_quoted_paths_with_spaces() -> None:
    assert parse(SAID) == {
        "vm1": Machine(
            "127.0.0.1",
            2222,
            "vagrant",
            Path("/Users/ann lee/app/.vagrant/machines/vm1/virtualbox/private_key"),
            True,
        ),
        "vm2": Machine("192.168.121.7", 22, "debian", Path("C:/keys/private_key"), False),
    }
    assert parse("") == {}


def test_the_ports_that_a_provider_forwards() -> None:
    assert parse_ports(PORTS) == {22: 2222, 443: 8443}
    assert parse_ports("1,,ui,error,The libvirt provider does not support listing forwarded ports.\n") == {}


def test_vagrant_is_asked_once_until_its_next_command(project: Project, serve: Callable[[], Server]) -> None:
    server = serve()
    project.made("vm1", "one")
    project.says(vm1=server.port)
    for _ in range(3):
        assert project.located("vm1") == [("127.0.0.1", server.port)]
    assert project.calls == ["ssh-config vm1", "port --machine-readable vm1"]
    index = Path(os.environ["VAGRANT_HOME"], "data/machine-index/index")
    os.utime(index, ns=(0, index.stat().st_mtime_ns + 1))
    project.located("vm1")
    assert len(project.calls) == 4


def test_a_machine_made_anew_is_pinned_anew_and_another_key_of_the_same_one_is_not(
    project: Project, serve: Callable[[], Server]
) -> None:
    first, other = serve(), serve()
    project.made("vm1", "one")
    project.says(vm1=first.port)
    project.located("vm1")
    assert project.pinned("vm1") == f"[127.0.0.1]:{first.port} {first.line}"

    index = Path(os.environ["VAGRANT_HOME"], "data/machine-index/index")
    os.utime(index, ns=(0, 0))
    project.says(vm1=other.port)
    project.located("vm1")
    assert project.pinned("vm1") == f"[127.0.0.1]:{other.port} {first.line}", "another port, and the same machine"

    project.made("vm1", "two")
    project.located("vm1")
    assert project.pinned("vm1") == f"[127.0.0.1]:{other.port} {other.line}"


def test_several_machines_are_asked_for_at_once(project: Project, serve: Callable[[], Server]) -> None:
    servers = {"vm1": serve().port, "vm2": serve().port}
    for name in servers:
        project.made(name, name)
    project.says(**servers)
    assert project.located("vm1", "vm2") == [("127.0.0.1", port) for port in servers.values()]
    assert project.calls[0] == "ssh-config vm1 vm2"


def refused(project: Project, *names: str) -> str:
    with pytest.raises(VagrantError) as problem:
        project.located(*names)
    return str(problem.value)


def test_a_machine_that_cannot_be_reached_is_one_line(
    project: Project, serve: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project.folder
    assert refused(project, "vm1") == f"vm1: Vagrant has made no such machine: vagrant up vm1, in {place}"
    assert not project.calls
    project.made("vm1", "one")
    project.made("vm2", "two")
    project.says(vm1=serve().port)
    (place / "error").write_text(
        "The provider for this Vagrant-managed machine is reporting that it\nis not yet ready for SSH.\n"
    )
    assert refused(project, "vm1", "vm2") == f"vm2 is not running: vagrant up vm2, in {place}"
    (place / "error").write_text("The machine with the name 'vm2' was not\nfound.\n")
    assert refused(project, "vm2") == "vm2: vagrant ssh-config: The machine with the name 'vm2' was not found."
    (place / "error").unlink()
    project.says(vm1=1)
    assert refused(project, "vm1") == "vm1: 127.0.0.1 port 1 does not answer (Connection refused): vagrant up vm1"
    monkeypatch.setenv("PATH", "/nowhere")
    project.made("vm1", "three")
    assert refused(project, "vm1") == "connect: vagrant, and there is no vagrant on this machine: install it first"
    (place / "Vagrantfile").unlink()
    assert "there is no Vagrantfile in" in refused(project, "vm1")


def test_other_hosts_are_left_as_they_are(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    project.inventory.write_text("hosts: {web1: 203.0.113.10}\n")
    assert project.located("web1") == [("203.0.113.10", 22)]


@pytest.mark.parametrize("key", ["port: 2222", "user: root", "proxy_jump: jump.example.com", "address: 203.0.113.10"])
def test_what_vagrant_says_is_not_said_by_the_inventory(project: Project, key: str) -> None:
    project.inventory.write_text(f"hosts:\n  vm1:\n    connect: vagrant\n    {key}\n")
    with pytest.raises(InventoryError, match=f"hosts.vm1.{key.partition(':')[0]}: .*comes from Vagrant; remove"):
        load(project.inventory, {})


def test_a_site_on_a_machine_is_a_line_for_a_terminal(project: Project) -> None:
    project.inventory.write_text(
        f"{INVENTORY}tls: {{issuer: self-signed}}\n"
        "apps: {shop: {source: https://git.example.com/shop.git, module: shop.main:app, domains: [shop.test]}}\n"
    )
    host = load(project.inventory, {}).hosts["vm1"].model_copy(update={"address": "192.168.121.7"})
    app = host.apps["shop"]
    assert addresses(host, app) == ["curl --insecure --resolve shop.test:443:192.168.121.7 https://shop.test/"]
    host = host.model_copy(update={"address": "127.0.0.1", "forwarded": {443: 8443}})
    assert addresses(host, app) == ["curl --insecure --resolve shop.test:8443:127.0.0.1 https://shop.test:8443/"]
