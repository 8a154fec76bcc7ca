# shellcheck shell=sh disable=SC2154
set -u
export LC_ALL=C

# Out: one record with the distribution, its release, the init system, the architecture, processors, memory (KiB), who logs in,
# and the time (seconds since 1970).
system_facts() {
    ID=unknown VERSION_ID='' memory=0
    # shellcheck source=/dev/null
    if [ -r "$root/etc/os-release" ]; then . "$root/etc/os-release"; fi
    while read -r key value _; do
        if [ "$key" = MemTotal: ]; then memory=$value; fi
    done </proc/meminfo
    login=${SUDO_USER:-$(id -un)}
    printf 'system\tsystem=%s\tversion=%s\tinit=%s\tarchitecture=%s\tcpus=%s\tmemory=%s\tlogin=%s\thome=%s\tnow=%s\n' \
        "$ID" "$VERSION_ID" "$(if [ -d "$root/run/systemd/system" ]; then echo systemd; else cat /proc/1/comm; fi)" \
        "$(uname -m)" "$(nproc)" "$memory" "$login" "$(getent passwd "$login" | cut -d: -f6)" "$(date +%s)"
}
