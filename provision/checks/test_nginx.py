"""nginx runs, with a valid configuration."""

from typing import Any

import pytest

pytestmark = pytest.mark.role("web")


def test_nginx_is_enabled_and_running(host: Any) -> None:
    nginx = host.service("nginx")
    assert nginx.is_enabled, "nginx would not start at boot"
    assert nginx.is_running, "nginx does not run"


def test_nginxs_configuration_is_valid(host: Any) -> None:
    verdict = host.run("nginx -t")
    assert verdict.rc == 0, verdict.stderr
    ignored = [line for line in verdict.stderr.splitlines() if "conflicting server name" in line]
    assert not ignored, f"two sites have the same name, and nginx ignores one: {ignored[0]}"
