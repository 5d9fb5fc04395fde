"""A machine whose cgroups are v2 only: `python -m tests.guest` runs the kernel tests inside it.

    image.py     the root file system: a Debian tree with Python and our dependencies, cached
    machine.py   QEMU: boots that tree and the host's cloud kernel with `cgroup_no_v1=all`
    inside.sh    pid 1 in there: mounts, loads modules, runs pytest, powers off
    reboot.py    a power cut and the boot after it
    systemd.sh   the same role as inside.sh where systemd is pid 1; systemd.py: what it tests there
    __main__.py  puts them together; its exit code is pytest's

Two drives: the cached root, which no run changes, and one that carries the project in and the
results out. No network, no KVM: it boots in about six seconds by emulation.
"""
