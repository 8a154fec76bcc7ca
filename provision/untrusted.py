"""What a server, a repository or a build says is data: it is shown without control characters, and parsed or refused."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from provision.errors import ProbeError, ProvisionError

# C0 and C1 but for tab and newline, what turns the direction of text, the separators of lines, and lone surrogates.
UNSAFE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
UNREADABLE = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, OSError, RecursionError)
LONGEST = 300
NAME = "[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"
PATH = "(/(?![.]{1,2}(/|$))[A-Za-z0-9._@+-]{1,255}){1,32}"


def visible(text: str) -> str:
    r"""The text with its control characters as \x1b or \u202e; tabs and newlines stay."""
    return UNSAFE.sub(_escaped, text)


def line(text: str, longest: int = LONGEST) -> str:
    r"""The text as one line of at most so many characters, without control characters."""
    shown = visible(text[: longest + 1]).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Whatever cannot be understood within is ProbeError: `what` says which answer it was."""
    try:
        yield
    except ProvisionError:
        raise
    except UNREADABLE as error:
        reason = line(str(error), 80) or type(error).__name__
        raise ProbeError(f"the server's answer to {what} cannot be used ({type(error).__name__}: {reason})") from None


def word(said: Mapping[str, str], key: str, grammar: str = NAME) -> str:
    """The value of a key. Raises ValueError for one that is not of its grammar, KeyError where there is none."""
    value = said[key]
    if not re.fullmatch(grammar, value):
        raise ValueError(f"{key}={line(value, 60)}")
    return value


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
