"""Real servers in real images: Debian's packages, installed inside a container over its network.

image.py     makes the image by our own commands, once, and keeps it as an archive
conftest.py  a command line on a root that has it
"""
