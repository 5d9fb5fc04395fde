"""What the product is called and where it lives by default.

The name stands here once: paths, cgroups and (later) bridges are derived from it.
"""

NAME = "wharf"
VERSION = "0.1.0"

DATA_ROOT = f"/var/lib/{NAME}"
RUN_ROOT = f"/run/{NAME}"
SETTINGS_DIR = f"/etc/{NAME}"

ROOT_VARIABLE = f"{NAME.upper()}_ROOT"
RUN_ROOT_VARIABLE = f"{NAME.upper()}_RUN_ROOT"
STORAGE_DRIVER_VARIABLE = f"{NAME.upper()}_STORAGE_DRIVER"

STARTER_IMAGE = f"{NAME}/starter:latest"
