"""Content by digest, and layers unpacked for mounting. Knows nothing of images or containers."""
