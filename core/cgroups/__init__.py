"""Control groups of containers, version 1 and 2; standard library only, monitors use it."""
