"""nginx runs, with a valid configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from provision.resources.nginx import conflicts

if TYPE_CHECKING:
    from provision import inventory

pytestmark = pytest.mark.role("web")


def test_nginx_is_enabled_and_running(host: Any) -> None:
    nginx = host.service("nginx")
    assert nginx.is_enabled, "nginx would not start at boot"
    assert nginx.is_running, "nginx does not run"


def test_nginxs_configuration_is_valid(host: Any, declared: inventory.Host) -> None:
    verdict = host.run("nginx -t")
    assert verdict.rc == 0, verdict.stderr
    ours = conflicts(domain for app in declared.apps.values() for domain in app.domains)
    ignored = [line for line in verdict.stderr.splitlines() if ours and re.search(ours, line)]
    assert not ignored, f"two sites have the same name, and nginx ignores one: {ignored[0]}"
