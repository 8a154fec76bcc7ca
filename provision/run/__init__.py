"""One run over a fleet: each host's plan and its application, followed through lost connections."""
