"""Thin faces of kernel facilities, one a file; standard library only, so that monitors can load them."""
