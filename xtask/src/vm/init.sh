#!/bin/sh
# First process of a machine of the matrix: mounts what a host has, runs the job, powers off.
# The job's parts are the scripts /job/NN-NAME; each one's output stands between two markers on the console.

export PATH=/bin HOME=/root TERM=dumb BELLJAR_BIN=/bin/belljar BELLJAR_VM=1
cd /

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in cpu memory pids; do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
ln -s /proc/self/fd /dev/fd
ip link set lo up
hostname belljar-vm
# A kernel message in the middle of a line would spoil a marker or a test's result.
dmesg -n 1
echo
echo "@@up"

for part in /job/*; do
    name=${part##*/??-}
    echo
    echo "@@begin $name"
    # Its streams are a pipe, as under any test runner, so that nothing takes the console for a terminal.
    { sh "$part" </dev/null 2>&1; echo $? >/tmp/.code; } | cat
    echo
    echo "@@end $name $(cat /tmp/.code)"
done
echo "@@done"
poweroff -f
