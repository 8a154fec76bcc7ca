"""Certificate authorities that a server trusts in addition to its distribution's."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import heredoc, library, words

LIBRARY = library(__file__)
FOLDER = "/usr/local/share/ca-certificates"


@dataclass(frozen=True, slots=True)
class TrustedCertificates:
    """CA certificates (PEM) that all programs on the server trust; those of an earlier inventory are removed.

    Each has a file of its own, because OpenSSL finds it in no other way. The file is named after its content,
    because update-ca-certificates ignores new content under an old name.
    """

    certificates: tuple[str, ...]

    @property
    def ref(self) -> Ref:
        return Ref("authorities", "mirrors")

    def _files(self) -> dict[str, bytes]:
        contents = [certificate.encode() for certificate in self.certificates]
        return {f"provision-{hashlib.sha256(content).hexdigest()}.crt": content for content in contents}

    def probe(self) -> Probe:
        return Probe("trust_probe", LIBRARY)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        files = self._files()
        present = {each["name"]: each["trusted"] == "yes" for each in state.records}
        missing = [name for name in files if not present.get(name)]
        old = present.keys() - files.keys()
        if not missing and not old:
            return None
        what = [f"trust {len(missing)} of mirrors.ca_bundle"] if missing else []
        what += [f"trust {len(old)} no longer"] if old else []
        puts = [heredoc(words("put", f"{FOLDER}/{name}", "root", "root", "644"), files[name]) for name in missing]
        script = "\n".join((*puts, words("trust_only", *files)))
        return Change(self.ref, f"certificate authorities: {', '.join(what)}", script, LIBRARY)
