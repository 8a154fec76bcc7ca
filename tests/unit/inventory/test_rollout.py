"""Batches of hosts, and a server's roles."""

from __future__ import annotations

import pytest

from tests.inventories import HOST, errors, host


def test_roles_are_put_in_their_fixed_order() -> None:
    assert host(HOST + "    roles: [web, base]\n").roles == ["base", "web"]


def test_a_release_goes_live_host_by_host_and_back_when_it_fails_unless_it_is_said_otherwise() -> None:
    assert (host(HOST).rollout.batch, host(HOST).rollout.on_failure) == (1, "rollback")
    other = host(HOST + "rollout: {batch: 25%, on_failure: stop}\n").rollout
    assert (other.batch, other.on_failure) == ("25%", "stop")


@pytest.mark.parametrize(
    ("batch", "hosts", "size"),
    [
        ("1", 10, 1),
        ("2", 10, 2),
        ("'3'", 10, 3),
        ("9999", 10, 9999),
        ("25%", 10, 2),
        ("25%", 3, 1),
        ("1%", 10, 1),
        ("99%", 10, 9),
        ("100%", 10, 10),
        ("50%", 1, 1),
        ("50%", 0, 1),
    ],
)
def test_a_batch_is_so_many_hosts_or_a_share_of_them_rounded_down_but_never_none(
    batch: str, hosts: int, size: int
) -> None:
    assert host(HOST + f"rollout: {{batch: {batch}}}\n").rollout.size(hosts) == size


@pytest.mark.parametrize(
    "batch", ["0", "-1", "00", "01", "2.5", "10000", "0%", "101%", "-5%", "2.5%", "'%'", "25 %", "half", "true", "''"]
)
def test_what_is_no_batch_is_refused(batch: str) -> None:
    shown = batch.strip("'").replace("true", "True")
    assert errors(HOST + f"rollout: {{batch: {batch}}}\n") == [
        f'prod.yml:4: rollout.batch: "{shown}" is not a batch; write a number of hosts such as 2, or a percentage such as 25%'
    ]
