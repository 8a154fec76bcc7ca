"""sshd: its settings, and the keys that it lets in."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.access import confirmed
from provision.engine.plan import diff
from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.errors import PlanError

LIBRARY = library(__file__)
PATH = "/etc/ssh/sshd_config.d/10-provision.conf"
"""sshd takes the first value that it reads. It reads this folder first, in the order of names, and cloud-init's file is 50-cloud-init.conf."""
KEYS = "/etc/ssh/authorized_keys.provision"
HEADER = "# Written by provision.\n"
AFTERWARDS = "systemctl --no-block try-reload-or-restart ssh.service"
# By setting: what `ssh -Q` calls its algorithms.
QUERIES = {"KexAlgorithms": "kex", "Ciphers": "cipher", "MACs": "mac", "HostKeyAlgorithms": "key"}
# Key exchange that a quantum computer breaks is for servers without one that it does not, and that Paramiko has, too.
QUANTUM_SAFE = "mlkem768x25519-sha256"
CLASSICAL = ("curve25519-sha256", "curve25519-sha256@libssh.org")
SYNONYMS = {"without-password": "prohibit-password"}


@dataclass(frozen=True, slots=True)
class SshServer:
    """sshd with these settings, in a file of our own that comes before all others; without any, that file is not there.

    Of the `algorithms`, by setting, those that the server's OpenSSH does not have are left out. If there are `keys` (lines of
    authorized_keys(5)), only they let `user` in, whatever is in the user's home. A change stays only if a new login succeeds
    (provision/engine/access.py).
    """

    settings: tuple[tuple[str, str], ...] = ()
    algorithms: tuple[tuple[str, tuple[str, ...]], ...] = ()
    user: str = ""
    keys: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref("sshd", "settings")

    @property
    def _keys_path(self) -> str:
        return f"{KEYS}/{self.user}" if self.keys else ""

    def probe(self) -> Probe:
        return Probe("sshd_probe", LIBRARY, (PATH, self._keys_path or "-", "yes" if self.settings else "no"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        before = _text(state["content"])
        if not self.settings:
            return self._remove(before) if before.startswith(HEADER) else None
        if state["include"] != "yes":
            raise PlanError(
                "/etc/ssh/sshd_config does not read /etc/ssh/sshd_config.d",
                "begin it with the line: Include /etc/ssh/sshd_config.d/*.conf",
            )
        wanted, keys = self._content(state), "".join(f"{key}\n" for key in self.keys)
        keys_before = _text(state["keys"])
        if before == wanted and (not self.keys or keys_before == keys):
            self._check(state)
            return None
        paths = tuple(filter(None, (PATH, self._keys_path)))
        script = "\n".join(
            (
                *((heredoc(words("sshd_keys", self._keys_path), keys.encode()),) if self.keys else ()),
                heredoc(words("sshd_write", PATH), wanted.encode()),
            )
        )
        return Change(
            self.ref,
            f"sshd: write {', '.join(paths)}, if a new login succeeds with that",
            confirmed(script, paths, AFTERWARDS),
            LIBRARY,
            "\n".join(filter(None, (diff(PATH, before, wanted), diff(self._keys_path, keys_before, keys)))),
        )

    def _remove(self, before: str) -> Change:
        script = confirmed(words("sshd_remove", PATH, KEYS), (PATH, KEYS), AFTERWARDS)
        return Change(self.ref, f"sshd: remove {PATH}", script, LIBRARY, diff(PATH, before, ""))

    def _content(self, state: State) -> str:
        lines = [f"{name} {value}" for name, value in (*self.settings, *self._algorithms(state))]
        if self.keys:
            lines += [f"Match User {self.user}", f"    AuthorizedKeysFile {KEYS}/%u"]
        return HEADER + "".join(f"{line}\n" for line in lines)

    def _algorithms(self, state: State) -> list[tuple[str, str]]:
        found = []
        for name, wanted in self.algorithms:
            chosen = [one for one in wanted if one in state[QUERIES[name]].split(",")]
            if QUANTUM_SAFE in chosen:
                chosen = [one for one in chosen if one not in CLASSICAL]
            if chosen:
                found.append((name, ",".join(chosen)))
        return found

    def _check(self, state: State) -> None:
        """Raises PlanError if sshd has another value than the file says: somebody's file comes before it."""
        for name, value in self.settings:
            has = state[f"t.{name.lower()}"]
            if has and SYNONYMS.get(has, has).lower() != value.lower():
                raise PlanError(
                    f"sshd has {name} {has}, although {PATH} says {value}: another file says so before it",
                    f"take {name} out of sshd_config above its Include, and out of the files in sshd_config.d that come before",
                )


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")
