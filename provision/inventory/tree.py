"""What an app's paths may mean in its repository, and in a release."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from provision.inventory.build import OWN
from provision.inventory.fields import distinct, relative_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.inventory.app import App


def _shared_folder(value: str) -> str:
    path = PurePosixPath(relative_folder(value))
    if not path.parts:
        raise ValueError("the app's folder itself cannot be in shared/; name the folders that the app writes to")
    if path.parts[0] in OWN:
        raise ValueError(f'"{value}" is where the server puts its own; choose another folder')
    return str(path)


def _apart(value: list[str]) -> list[str]:
    for one in value:
        for other in value:
            if one != other and PurePosixPath(one).is_relative_to(other):
                raise ValueError(f"{one} is in {other}, which is in shared/ as a whole; keep one")
    return sorted(value)


SharedFolders = Annotated[
    list[Annotated[str, AfterValidator(_shared_folder)]], AfterValidator(distinct), AfterValidator(_apart)
]


def check(app: App) -> None:
    """Raises ValueError for paths that lead out of the repository, and for those that two would write."""
    built = [name for each in app.build for name in (each.folder, *each.inputs, *each.outputs)]
    for path in (app.requirements.file, *app.static.values(), *built):
        if f"{app.in_repository(path)}/".startswith("../"):
            raise ValueError(f'"{path}" leads out of the repository from source.folder; write a path inside it')
    for output in (name for each in app.build for name in each.outputs):
        made = PurePosixPath(app.in_repository(output))
        if PurePosixPath(app.source.folder).is_relative_to(made):
            raise ValueError(f'the build output "{output}" has the whole app in it; name what the commands make')
        if made.parts[0] in OWN:
            raise ValueError(f'the build output "{output}" is where the server puts its own; choose another folder')
    for folder, path, what in _overlaps(app):
        raise ValueError(f'"{folder}" is a link into shared/, {what.format(path)}')


def _overlaps(app: App) -> Iterator[tuple[str, str, str]]:
    """Each folder in shared/ with a path that has to be the release's own, and why."""
    others = [
        *(
            (path, 'which nginx cannot read: take "{}" out of static, and let the app serve it (StaticFiles)')
            for path in app.static.values()
        ),
        *(
            (path, 'where the build output "{}" cannot be; choose another folder for one')
            for each in app.build
            for path in each.outputs
        ),
        (app.requirements.file, 'where the requirements "{}" cannot be; choose another folder for one'),
    ]
    for folder in app.shared:
        link = PurePosixPath(app.in_repository(folder))
        for path, what in others:
            place = PurePosixPath(app.in_repository(path))
            if place.is_relative_to(link) or link.is_relative_to(place):
                yield folder, path, what
