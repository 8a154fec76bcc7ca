"""What stands in the way on a server is named, and never changed."""

import pytest

from provision.engine.resource import State
from provision.errors import PlanError
from provision.release.claim import Claim
from provision.resources.ports import Ports

PORTS = Ports("nginx", (80, 443), "nginx")


def test_nothing_in_the_way_is_no_change() -> None:
    for guard in (Claim("shop"), PORTS):
        assert guard.plan(State(), {}) is None


@pytest.mark.parametrize(
    ("unit", "way_out"), [("apache2.service", "systemctl disable --now apache2.service"), ("", "end process 712")]
)
def test_whoever_has_a_port_is_named(unit: str, way_out: str) -> None:
    with pytest.raises(
        PlanError, match=rf"port 80 is held by apache2 \(process 712\), and nginx needs it: {way_out} on"
    ):
        PORTS.plan(State.of({"port": "80", "program": "apache2", "process": "712", "unit": unit}), {})


def test_what_is_somebody_elses_is_named() -> None:
    with pytest.raises(PlanError, match=r"shop: the server has the user shop .uid 1500., /srv/shop, and they are not"):
        Claim("shop").plan(State.of({"foreign": "the user shop (uid 1500), /srv/shop"}), {})
