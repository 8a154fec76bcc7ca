"""One owner a path: what the tables of places give to whom."""

import pytest

from provision.release.layout import APP, BUILDER, NGINX, REDIS, CacheLayout, Layout, ReleaseLayout, SlotLayout
from provision.release.principals import ANOTHER, PRINCIPALS, access, places

SHARED, CACHE, NPM, ANSWERS, DATA = Layout.shared, Layout.uv_cache, Layout.npm_cache, Layout.answers, CacheLayout.data


def test_only_root_writes_apart_from_what_the_app_shares_and_what_its_builder_nginx_and_its_redis_keep() -> None:
    sockets = {SlotLayout.socket, CacheLayout.socket}
    for place in set(places()) - sockets:
        writers = {user for user in PRINCIPALS.values() if "w" in access(place, user)}
        assert writers == {SHARED: {APP}, CACHE: {BUILDER}, NPM: {BUILDER}, ANSWERS: {NGINX}, DATA: {REDIS}}.get(
            place, set()
        ), place.path
        assert (place.writers == "root") == (not writers), place.path


def test_root_has_nothing_below_a_folder_that_another_user_can_write() -> None:
    for folder in places():
        if any("w" in access(folder, user) for user in PRINCIPALS.values()):
            assert [place.path for place in places() if place.path.startswith(f"{folder.path}/")] == []


@pytest.mark.parametrize("place", [ReleaseLayout.folder, ReleaseLayout.stamp, Layout.env, SlotLayout.env, SHARED])
def test_what_is_an_apps_own_is_for_nobody_else(place: object) -> None:
    (found,) = [one for one in places() if one is place]
    assert "r" in access(found, APP)
    assert [access(found, user) for user in (BUILDER, NGINX, REDIS, ANOTHER)] == ["", "", "", ""]
