#!/bin/sh
# boot.sh SERVER-FOLDER NAME BRIDGE CGROUP...: runs one server from its first boot to its power-off, across reboots.
# It runs in its own mount namespace, so the overlay disappears with the last process.
set -eu
folder=$1 name=$2 bridge=$3
shift 3
cd "$folder"

# Directories of the image can be renamed, as on a plain disk (redirect_dir).
if ! mount -t overlay -o lowerdir=base,upperdir=upper,workdir=work,redirect_dir=on overlay root; then
    echo "overlayfs cannot write in $folder: set PROVISION_LAB to a folder on ext4 or xfs" >&2
    exit 1
fi

# The server's first process. nspawn mounts the controllers of cgroup v1 read-only, and limits like MemoryMax would
# do nothing; the group behind each is this server's own, so it may write. systemd 256 wants to be asked for cgroup v1.
# shellcheck disable=SC2016
init='
for controller in blkio cpu cpuacct cpu,cpuacct devices memory pids; do
    place=/sys/fs/cgroup/$controller
    [ ! -d "$place" ] || [ -L "$place" ] || mount -o remount,bind,rw "$place"
done
exec /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
'

while :; do
    status=0
    (
        for group in "$@"; do
            echo 0 >"$group/cgroup.procs" || exit 1
        done
        export SYSTEMD_NSPAWN_LOCK=0
        exec systemd-nspawn --quiet --directory="$folder/root" --machine="$name" --network-bridge="$bridge" \
            --register=no --keep-unit --resolv-conf=off --timezone=off --link-journal=no --console=passive \
            --kill-signal=SIGRTMIN+3 /bin/sh -c "$init"
    ) || status=$?
    # 133: the server rebooted.
    [ "$status" -eq 133 ] || exit "$status"
done
