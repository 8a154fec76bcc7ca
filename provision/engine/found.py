"""What a server had before this toolkit came, in the shell."""

from provision.engine.shell import library

LIBRARY = library(__file__)
