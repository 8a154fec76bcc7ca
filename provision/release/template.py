"""Jinja2 templates: a project's own templates/ come first, then the package's."""

import traceback
from functools import cache
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)

from provision.errors import PlanError

PACKAGED = Path(__file__).parents[1] / "templates"


@cache
def _environment(project: Path) -> Environment:
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(project / "templates"), FileSystemLoader(PACKAGED)]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def render(name: str, /, **values: object) -> str:
    """The template's text. Raises PlanError with the template's file and line."""
    try:
        return _environment(Path.cwd()).get_template(name).render(**values)
    except TemplateSyntaxError as error:
        raise PlanError(f"{error.filename or name}:{error.lineno}: {error.message}") from None
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name
        said = error.message if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise PlanError(f"{where}: {said}") from None
