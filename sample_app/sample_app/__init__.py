"""A small FastAPI app that keeps notes."""

__version__ = "1.0.0"
