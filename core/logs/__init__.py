"""Reading the logs of containers."""
