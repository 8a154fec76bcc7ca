"""`python -m provision`: the tasks, also in a folder that has no tasks.py."""

from importlib.metadata import version

from invoke import Program

from provision.tasks import namespace


def main() -> None:
    """Run the tasks of the command line."""
    Program(namespace=namespace, name="provision", binary="python -m provision", version=version("provision")).run()


if __name__ == "__main__":
    main()
