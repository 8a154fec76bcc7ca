"""The kinds of resources that any server has: files, packages, services, users and the like, each a `.py` and a `.sh`."""
