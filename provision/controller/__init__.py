"""This machine's side of the work: SSH, the keys and commits that it knows, and what it keeps. It knows no run."""
