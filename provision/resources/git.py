"""An app's repository, mirrored on the server, and the key with which the server reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from provision.engine.resource import Change, Probe, Ref, State, Transfer
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError

LIBRARY = library(__file__)
PUSHED = "pushed"


@dataclass(frozen=True, slots=True)
class DeployKey:
    """An ed25519 key pair at `path`, made on the server and readable by root alone; its private half never
    leaves it.

    `who` is the comment of the public half, which has to be added to the `repository`.
    """

    app: str
    path: str
    who: str
    repository: str

    @property
    def ref(self) -> Ref:
        return Ref("deploy-key", self.app)

    def probe(self) -> Probe:
        return Probe("git_probe_keys", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["usable"] == "yes":
            access = state["access"]
            if access == "600 root:root":
                return None
            summary = f"{self.path}: {access} -> 600 root:root"
            return Change(
                self.ref, summary, f"{words('chown', 'root:root', self.path)}\n{words('chmod', '600', self.path)}"
            )
        why = " (the one there cannot be read)" if state else ""
        summary = f"{self.app}: make a deploy key for {self.repository}{why}"
        script = words("git_make_key", self.app, self.path, self.who, self.repository)
        return Change(self.ref, summary, script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Access:
    """How the server reads a repository over SSH: with which key, and which host keys it accepts.

    `key` is own (the server's, in the file `deploy_key`), sent (`private`, on the server only during the fetch),
    agent (the controller's), or root (whatever root has). `known_hosts` is the file with the pinned host keys.
    """

    app: str
    who: str
    known_hosts: str
    key: Literal["own", "sent", "agent", "root"]
    deploy_key: str = ""
    private: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A bare mirror of `repository` at `path` that has `commit` (40 hexadecimal digits).

    If the repository is PUSHED, the controller sends the commit in `pack`, through the login's `home`.
    """

    path: str
    repository: str
    commit: str
    pack: Path | None = None
    home: str = ""
    access: Access | None = None

    @property
    def ref(self) -> Ref:
        return Ref("mirror", self.path)

    def probe(self) -> Probe:
        return Probe("git_probe_mirrors", LIBRARY, (self.path, self.commit))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["repository"] == self.repository:
            return None
        if self.repository == PUSHED:
            return self._receive()
        what = "fetch" if state else "mirror"
        summary = f"{what} {self.repository} at {self.commit[:7]}"
        script = words("git_mirror", self.path, self.repository, self.commit)
        if self.access is None:
            return Change(self.ref, summary, script, LIBRARY)
        with_key = words(
            "git_over_ssh",
            self.access.app,
            self.access.key,
            self.access.who,
            self.access.known_hosts,
            self.access.deploy_key,
        )
        if self.access.private:
            script = heredoc(f"{with_key} {script}", self.access.private.encode())
        else:
            script = f"{with_key} {script}"
        return Change(self.ref, summary, script, LIBRARY, agent="forward_agent" if self.access.key == "agent" else "")

    def _receive(self) -> Change:
        if self.pack is None:
            raise PlanError(f"the server has lost the commit {self.commit[:7]}: deploy, to send it again")
        # Two apps may be at the same commit: each has a pack of its own.
        remote = f".provision-{self.path.strip('/').replace('/', '-')}-{self.commit}.pack"
        script = words("git_receive", self.path, self.commit, f"{self.home}/{remote}")
        summary = f"send {self.commit[:7]} from this machine"
        return Change(self.ref, summary, script, LIBRARY, upload=Transfer(self.pack, remote))
