#!/bin/sh
# Process 1 of the test guest, on the project's drive: makes a usable system, runs the tests, powers off.
# It never exits: a first process that ends is a kernel panic.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts -o ptmxmode=0666,mode=0620,gid=5
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp -o mode=1777
mount -t tmpfs tmpfs /run
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
for module in overlay bridge veth nf_tables nft_chain_nat nft_masq erofs macvlan loop nf_nat nft_ct nft_fib_inet nft_redir; do
    modprobe "$module" 2>/dev/null
done
ip link set lo up
hostname guest
cd /project || echo o >/proc/sysrq-trigger
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
export PYTHONPATH=/opt/wharf:/project WHARF_TEST_PROBE=/project/probe
if grep -qx -e --reboot arguments; then
    # twice through here: the first time ends as if the power had failed, the second is the boot after that
    phase=after
    [ -e rebooted ] || phase=before
    python3 -m tests.guest.reboot "$phase" 2>&1
    echo $? >code
    if [ "$phase" = before ] && [ "$(cat code)" = 0 ]; then
        touch rebooted
        mount -o remount,ro /project
        echo b >/proc/sysrq-trigger
    fi
    sync
    mount -o remount,ro /project
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
fi
set --
while IFS= read -r argument; do
    set -- "$@" "$argument"
done <arguments
python3 -m pytest -p no:cacheprovider "$@" >log 2>&1 &
tests=$!
tail -f -n +1 --pid=$tests log
wait $tests
echo $? >code
sync
mount -o remount,ro /project
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
