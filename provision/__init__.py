"""From a bare Linux server to a FastAPI app over HTTPS, and every deploy after that."""

__version__ = "0.1.0"
