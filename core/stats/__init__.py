"""Reading what the spawner samples, and the host's own figures."""
