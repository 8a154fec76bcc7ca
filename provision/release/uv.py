"""uv, which installs the packages of releases."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.layout import Tools

UV = "0.13.9"
# The checksums of its wheels, one for each kind of server. With another version, replace them: pip hash uv-*.whl
WHEELS = {
    "manylinux_2_17_aarch64": "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    "manylinux_2_17_armv7l": "16963d19594e18d746a70c7fce82237bde4f2cac4cfcf0ca2b84796fe9d0c6e9",
    "manylinux_2_17_i686": "db5c8df7145c21ffea9c0f74e38823bac3af60cbadf0e26b8633f08627b17bab",
    "manylinux_2_17_ppc64le": "c5dbdb7c8737cd183a9dce95b39cfd1f3d54ec2a27a1bb58f160293f9ba2c805",
    "manylinux_2_17_s390x": "a6e845f387e4ed55bb59342957a9179e24a631fcc7668bda3426ae1cef8ed4b9",
    "manylinux_2_17_x86_64": "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    "manylinux_2_28_aarch64": "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    "manylinux_2_31_riscv64": "6b0c7b9f47a5d011939d61e324d3fe18a8bc155d8dd53add738709a92f290a7c",
}


@dataclass(frozen=True, slots=True)
class Uv:
    """The pinned installer, which reads requirements.txt, pyproject.toml and uv.lock alike.

    PYTHON/bin/python3 installs it, and only a wheel with a checksum that is known here; uv itself is a program that needs no Python to stay.
    """

    python: str
    index: str = ""
    version: str = UV

    @property
    def path(self) -> str:
        """Its folder; the program is PATH/bin/uv."""
        return Tools(self.version).uv

    @property
    def ref(self) -> Ref:
        return Ref("uv", self.version)

    def probe(self) -> Probe:
        return Probe("uv_probe", shell.LIBRARY, (self.version,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        script = words("uv_install", self.version, self.python, self.index, *WHEELS.values())
        return Change(self.ref, f"install uv {self.version}", script, shell.LIBRARY)
