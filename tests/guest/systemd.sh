#!/bin/sh
# Started by systemd, once in each of two boots: what is set up in the first must have come up by itself in the second.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONPATH=/opt/wharf:/project
cd /project || echo o >/proc/sysrq-trigger
phase=after
[ -e rebooted ] || phase=before
python3 -m tests.guest.systemd "$phase" 2>&1
echo $? >code
if [ "$phase" = before ] && [ "$(cat code)" = 0 ]; then
    touch rebooted
    sync
    exec systemctl reboot
fi
sync
mount -o remount,ro /project
echo o >/proc/sysrq-trigger
