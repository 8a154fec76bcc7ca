"""Runs in a release on the server: whether MODULE:ATTRIBUTE can be imported. The last line says why not."""

import functools
import importlib
import sys
import traceback

module, _, attribute = sys.argv[1].partition(":")
try:
    functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
except BaseException as error:
    traceback.print_exc()
    sys.exit("because " + " ".join(f"{type(error).__name__}: {error}".split())[:300])
