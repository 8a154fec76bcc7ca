"""A fleet's hold on a server, in the shell; and what is said over it."""

from provision.engine.shell import library

LIBRARY = library(__file__)
# How long a server waits for a controller that says nothing, and how often that says something.
SECONDS = 60
BEAT_SECONDS = 5
BEAT, CONFIRM, END = "beat", "confirm", "end"
HELD = "held"
