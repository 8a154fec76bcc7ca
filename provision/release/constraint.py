"""Which versions a project says that it runs on, in Python's own words or in Poetry's."""

import re


def allows(constraint: str, version: str) -> bool | None:
    """Whether a constraint on Python versions allows one; None where it cannot be read.

    It is one of Python's own (PEP 440), with what Poetry adds: ^3.11, ~3.11, 3.11.*, and || for "or".
    """
    # packaging takes 0.1 s to import, and only a commit that is not on the server yet is looked at.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return any(SpecifierSet(_specifiers(part)).contains(version) for part in constraint.split("||"))
    except InvalidSpecifier:
        return None


def _specifiers(text: str) -> str:
    close = re.sub(r"([<>=!~^])\s+", r"\1", text.strip())
    return ",".join(map(_specifier, re.split(r"[,\s]+(?=[<>=!~^\d])", close)))


def _specifier(text: str) -> str:
    """One of Poetry's constraints as Python's own specifiers have it: ^3.11 is >=3.11,<4."""
    if text == "*":
        return ""
    if re.fullmatch(r"\d+(\.\d+)*\.\*", text):
        return f"=={text}"
    found = re.fullmatch(r"(\^|~|)\s*(\d+)(?:\.(\d+))?((?:\.\d+)*)", text)
    if not found:
        return text
    sign, major, minor, rest = found[1], int(found[2]), found[3], found[4]
    version = f"{major}.{minor or 0}{rest}"
    if sign == "^" or (sign == "~" and not minor):
        return f">={version},<{major + 1}"
    if sign == "~":
        return f">={version},<{major}.{int(minor) + 1}"
    return f"=={version}"
