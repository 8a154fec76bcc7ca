# shellcheck shell=sh

# In: NUMBER. Out: container (its kind, if the server is one); otherwise daemon, a record for each that is installed, and active (of
# systemd-timesyncd).
# shellcheck disable=SC2016 # dpkg-query's own variables
timesync_probe() {
    IFS='	' read -r number _ || return 0
    container=$(systemd-detect-virt --container 2>/dev/null)
    if [ "${container:-none}" != none ]; then printf '%s\tcontainer=%s\n' "$number" "$container" && return 0; fi
    dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' systemd-timesyncd chrony ntpsec ntp openntpd 2>/dev/null |
        sed -n "s/^.i  *\(.*\)/$number	daemon=\1/p"
    printf '%s\tactive=%s\n' "$number" "$(systemctl is-active systemd-timesyncd 2>/dev/null)"
}

# timesync_install NAME
timesync_install() {
    package_install "$1"
    timesync_start "$1"
}

# timesync_start NAME
timesync_start() {
    service_remember "$1"
    systemctl enable --quiet --now "$1" || fail "$1 cannot be started: if it is masked, run systemctl unmask $1 on the server, then run again"
}
