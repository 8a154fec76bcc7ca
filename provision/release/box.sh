# shellcheck shell=sh disable=SC2154
# The box in which a builder runs code that nobody knows: packages' build scripts. APP-build is a user of its own: it sees no app's
# environment, sockets, shared folder or code, writes where it is told to, and leaves no process behind.

# box_run APP OUTPUT "FOLDER..." COMMAND...: run the command, which may write below the folders and reads standard input. OUTPUT gets the
# last megabyte that it says, over a pipe: it never has the file.
box_run() {
    box=provision-build-$1 builder=$1-build output=$2 folders=$3
    shift 3
    binds=
    for folder in $folders; do binds="$binds -p BindPaths=$folder"; done
    box_status=$(mktemp "$provision_runtime/build.XXXXXX")
    {
        status=0
        # shellcheck disable=SC2086 # the paths are words
        systemd-run --quiet --wait --pipe --collect --unit="$box" --service-type=exec \
            -p User="$builder" -p Group="$builder" -p WorkingDirectory=/ $binds -p ReadWritePaths="$folders" \
            -p ProtectSystem=strict -p ProtectHome=yes -p PrivateTmp=yes -p PrivateDevices=yes -p NoNewPrivileges=yes \
            -p TemporaryFileSystem=/srv:ro -p CapabilityBoundingSet= -p ProtectProc=invisible -p ProtectClock=yes \
            -p ProtectKernelTunables=yes -p ProtectKernelModules=yes -p ProtectKernelLogs=yes -p ProtectControlGroups=yes \
            -p ProtectHostname=yes -p RestrictNamespaces=yes -p RestrictRealtime=yes -p RestrictSUIDSGID=yes -p LockPersonality=yes \
            -p SystemCallArchitectures=native -p RestrictAddressFamilies="AF_UNIX AF_INET AF_INET6 AF_NETLINK" \
            -p UMask=0022 -p TasksMax=2048 -p RuntimeMaxSec=3600 -p KillSignal=SIGKILL "$@" || status=$?
        echo "$status" >"$box_status"
    } 2>&1 | tail -c 1000000 >"$output"
    read -r status <"$box_status"
    rm -f "$box_status"
    return "$status"
}

# box_end APP: whatever still runs in the box ends, with all that it started.
box_end() {
    systemctl kill -s KILL "provision-build-$1.service" 2>/dev/null || true
    systemctl stop "provision-build-$1.service" 2>/dev/null || true
}
