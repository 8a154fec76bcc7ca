"""Folders of an app that are links into its shared folder."""

from __future__ import annotations

import pytest

from tests.inventories import APP, HOST, errors, host


def test_folders_are_named_relative_to_the_apps_and_their_order_does_not_matter() -> None:
    assert host(f"{HOST}{APP}    shared: [./logs, media/uploads/, data]\n").apps["shop"].shared == [
        "data",
        "logs",
        "media/uploads",
    ]


@pytest.mark.parametrize(
    ("folder", "error"),
    [
        (".", "the app's folder itself cannot be in shared/; name the folders that the app writes to"),
        (".venv/x", '".venv/x" is where the server puts its own; choose another folder'),
        *(
            (folder, f'"{shown}" is not a folder inside the repository; write a relative path without ".."')
            for folder, shown in (
                ('""', ""),
                ("/data", "/data"),
                ("../data", "../data"),
                ("a/../data", "a/../data"),
                ("~/data", "~/data"),
                ("'a:b'", "a:b"),
            )
        ),
    ],
)
def test_a_folder_is_inside_of_the_apps(folder: str, error: str) -> None:
    assert errors(f"{APP}    shared: [{folder}]\n{HOST}") == [f"prod.yml:6: apps.shop.shared[0]: {error}"]


def test_a_control_character_is_refused_in_one_line() -> None:
    (found,) = errors(f'{APP}    shared: ["da\\nta"]\n{HOST}')
    assert found.startswith("prod.yml:6: apps.shop.shared[0]: ")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("folders", "error"),
    [
        ("[data, data/x]", "data/x is in data, which is in shared/ as a whole; keep one"),
        ("[data, ./data]", "data is listed twice; keep one"),
    ],
)
def test_folders_are_apart(folders: str, error: str) -> None:
    assert errors(f"{APP}    shared: {folders}\n{HOST}") == [f"prod.yml:6: apps.shop.shared: {error}"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (
            "static: {/m: media}",
            'which nginx cannot read: take "media" out of static, and let the app serve it (StaticFiles)',
        ),
        (
            "static: {/m: media/up/a}",
            'which nginx cannot read: take "media/up/a" out of static, and let the app serve it (StaticFiles)',
        ),
        (
            "build: [{run: make, outputs: [media]}]",
            'where the build output "media" cannot be; choose another folder for one',
        ),
        (
            "requirements: media/up/requirements.txt",
            'where the requirements "media/up/requirements.txt" cannot be; choose another folder for one',
        ),
    ],
)
def test_nothing_that_is_the_releases_own_is_in_such_a_folder(more: str, error: str) -> None:
    found = errors(f"{APP}    shared: [media/up]\n    {more}\n{HOST}")
    assert found == [f'prod.yml:2: apps.shop: "media/up" is a link into shared/, {error}']
