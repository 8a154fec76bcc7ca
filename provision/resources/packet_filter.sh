# shellcheck shell=sh disable=SC2154

# In: NUMBER RULES STAMP yes|no UNIT SHA256 (that of the unit). Out: content (base64), and, if a filter is wanted (yes): manager (ufw or
# firewalld, if one is in use), live (yes: the kernel has the rules as they were loaded), boot (yes: it gets them at a boot), ssh (the ports
# on which sshd listens), and listens (PORT PROGRAM, a record for each port that is open to others).
packet_filter_probe() {
    while IFS='	' read -r number rules stamp wanted unit sum; do
        printf '%s\tcontent=%s\n' "$number" "$(base64 -w 0 2>/dev/null <"$root$rules")"
        if [ "$wanted" = yes ]; then packet_filter_present "$root$rules" "$root$stamp" "$root$unit" "$sum" | sed "s/^/$number	/"; fi
    done
}

packet_filter_present() {
    manager='' live=no boot=no
    if grep -qs '^ENABLED=yes' "$root/etc/ufw/ufw.conf"; then manager=ufw; fi
    if [ -z "$manager" ] && systemctl -q is-active firewalld 2>/dev/null; then manager=firewalld; fi
    if [ -e "$2" ] && [ "$(packet_filter_stamp "$1")" = "$(cat "$2")" ]; then live=yes; fi
    if [ -e "$root/etc/systemd/system/multi-user.target.wants/provision-firewall.service" ] && [ "$(sha256sum <"$3" | cut -d' ' -f1)" = "$4" ]; then boot=yes; fi
    listening=$(ss -Hltnp 2>/dev/null)
    printf 'manager=%s\tlive=%s\tboot=%s\tssh=%s\n' "$manager" "$live" "$boot" "$(printf '%s\n' "$listening" | packet_filter_ssh)"
    printf '%s\n' "$listening" | awk '
        $4 ~ /^(127\.|\[::1\]|\[::ffff:127\.)/ || $4 !~ /:[0-9]+$/ { next }
        { port = $4; sub(/.*:/, "", port); name = $6; if (!sub(/^users:\(\("/, "", name)) name = "?"; sub(/".*/, "", name)
          if (!(port in seen)) print "listens=" port " " name; seen[port] = 1 }' | sed 40q
}

packet_filter_ssh() {
    awk '/users:.*"sshd"/ && $4 !~ /^(127\.|\[::1\])/ { port = $4; sub(/.*:/, "", port); if (!(port in seen)) print port; seen[port] = 1 }' | tr '\n' ' ' | sed 's/ $//'
}

# packet_filter_stamp RULES: what the file and the kernel have. Without the counters, and the clients of the moment.
packet_filter_stamp() {
    {
        cat "$1"
        nft -s list chain inet provision input
        nft -s list chain inet provision ssh
    } 2>&1 | sha256sum | cut -d' ' -f1
}

# packet_filter_write RULES UNIT AT-BOOT STAMP TEXT (of the unit) <content
packet_filter_write() {
    command -v nft >/dev/null || fail "there is no nft on the server: add nftables to the inventory's packages"
    if [ ! -d "${1%/*}" ]; then mkdir -m 755 "${1%/*}"; fi
    put "$1" root root 644
    if ! verdict=$(nft -c -f "$1" 2>&1); then
        printf '%s\n' "$verdict"
        fail "nft refuses the rules, so nothing was loaded: $(printf '%s\n' "$verdict" | head -n 1)"
    fi
    printf '%s' "$5" | put "$2" root root 644
    mkdir -p "${3%/*}"
    point "$3" "$2"
    systemctl daemon-reload
    systemctl restart provision-firewall.service
    mkdir -p "${4%/*}"
    packet_filter_stamp "$1" | put "$4" root root 644
}

# packet_filter_remove RULES UNIT AT-BOOT STAMP. The folder stays: what comes after it in a run may need it.
packet_filter_remove() {
    systemctl stop provision-firewall.service 2>/dev/null || true
    if command -v nft >/dev/null && nft list table inet provision >/dev/null 2>&1; then nft delete table inet provision; fi
    rm -f "$@"
    systemctl daemon-reload
}
