"""The engine of wharf: everything below the faces. README.md draws the picture."""
