"""What an app has built."""

from __future__ import annotations

import pytest

from provision.release.artifacts import steps
from tests.inventories import APP, HOST, errors, host

FRONT = "{run: [npm ci, npm run build], folder: frontend, inputs: [frontend], outputs: [frontend/dist]}"


def test_a_build_is_a_list_of_commands_and_mappings() -> None:
    build = (
        host(f"{HOST}{APP}    node: 22\n    build: [{FRONT}, npm ci, {{run: make, outputs: [out]}}]\n")
        .apps["shop"]
        .build
    )
    assert [each.run for each in build] == [["npm ci", "npm run build"], ["npm ci"], ["make"]]
    assert (build[0].folder, build[1].folder, build[2].outputs) == ("frontend", ".", ["out"])


@pytest.mark.parametrize(
    ("build", "error"),
    [
        ("[make]", "nothing is kept of what `make` makes; name it, such as outputs: [frontend/dist]"),
        (
            "[{run: make, inputs: [x]}, {run: make, outputs: [y]}]",
            "`make` has inputs and no outputs; write both for the last of these commands",
        ),
        (
            "[{run: make, outputs: [a]}, {run: make, outputs: [a/b]}]",
            "a/b is in two outputs; keep one",
        ),
    ],
)
def test_a_build_that_makes_no_sense_is_refused(build: str, error: str) -> None:
    assert errors(f"{APP}    build: {build}\n{HOST}") == [f"prod.yml:6: apps.shop.build: {error}"]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (
            ".",
            "the app's folder itself is no output; name the file or the folder in it that the commands make",
        ),
        (".venv/x", '".venv/x" is where the server puts its own; let the commands make another folder'),
        ("a/../../x", '"a/../../x" is not a folder inside the repository; write a relative path without ".."'),
    ],
)
def test_an_output_is_inside_of_the_apps_folder(output: str, error: str) -> None:
    found = errors(f"{APP}    build: [{{run: make, outputs: [{output}]}}]\n{HOST}")
    assert found == [f"prod.yml:6: apps.shop.build[0].outputs[0]: {error}"]


def test_only_a_series_of_node_that_is_pinned_is_known() -> None:
    (found,) = errors(f"{APP}    node: '18'\n{HOST}")
    assert found.startswith("prod.yml:6: apps.shop.node: ")
    assert all(each in found for each in ("22", "24", "system"))


@pytest.mark.parametrize(
    ("folder", "output", "error"),
    [
        (".", "../x", '"../x" leads out of the repository from source.folder; write a path inside it'),
        ("a", "../../x", '"../../x" leads out of the repository from source.folder; write a path inside it'),
        ("a/b", "..", 'the build output ".." has the whole app in it; name what the commands make'),
        ("a/b", "../..", 'the build output "../.." has the whole app in it; name what the commands make'),
        ("a", "../.venv", 'the build output "../.venv" is where the server puts its own; choose another folder'),
    ],
)
def test_an_output_above_the_apps_folder_stays_in_the_repository_and_leaves_the_app_alone(
    folder: str, output: str, error: str
) -> None:
    text = APP.replace("https://git.example.com/shop.git", f"{{repository: /a, folder: {folder}}}")
    found = errors(f"{text}    build: [{{run: make, outputs: [{output}]}}]\n{HOST}")
    assert [one.partition(": ")[2] for one in found] == [f"apps.shop: {error}"]


def test_a_front_end_may_stand_beside_the_app() -> None:
    text = APP.replace("https://git.example.com/shop.git", "{repository: /a, folder: backend}")
    build = "{run: make, folder: ../frontend, inputs: [../frontend], outputs: [../frontend/dist]}"
    app = host(f"{text}    build: [{build}]\n    static: {{/app: ../frontend/dist/}}\n{HOST}").apps["shop"]
    assert [app.in_repository(one) for one in (app.build[0].folder, app.static["/app"])] == [
        "frontend",
        "frontend/dist",
    ]
    (step,) = steps(app)
    assert (step.inputs, step.outputs) == (("frontend",), ("frontend/dist",))
    assert "cd frontend\n" in step.program
