"""A terminal emulator without a terminal: bytes in, a grid of cells and answers out."""
