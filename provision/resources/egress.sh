# shellcheck shell=sh disable=SC2154

# In: NUMBER PATH TABLE SHA256 (that of the wanted rules, or -) UNIT SHA256 (that of the unit). Out: content (base64), live (yes: the kernel has
# the rules as they were loaded), boot (yes: it gets them at a boot), and, if it is wanted and is not so, listens (PORT PROGRAM), a record for
# each port of this server.
egress_probe() {
    while IFS='	' read -r number path table wanted unit sum; do
        live=no boot=no
        if [ -e "$root/etc/systemd/system/multi-user.target.wants/provision-egress.service" ] && [ "$(sha256sum <"$root$unit" | cut -d' ' -f1)" = "$sum" ]; then boot=yes; fi
        if [ -e "$root$path" ] && [ "$(egress_stamp "$root$path" "$table")" = "$(cat "$provision_stamps/$table" 2>/dev/null)" ]; then live=yes; fi
        printf '%s\tcontent=%s\tlive=%s\tboot=%s\n' "$number" "$(base64 -w 0 2>/dev/null <"$root$path")" "$live" "$boot"
        if [ "$wanted" = - ] || { [ "$live$boot" = yesyes ] && [ "$(sha256sum <"$root$path" | cut -d' ' -f1)" = "$wanted" ]; }; then continue; fi
        egress_listens | sed "s/^/$number	/"
    done
}

egress_listens() {
    ss -Hltnp 2>/dev/null | awk '
        $4 !~ /:[0-9]+$/ { next }
        { port = $4; sub(/.*:/, "", port); name = $6; if (!sub(/^users:\(\("/, "", name)) name = "?"; sub(/".*/, "", name)
          if (!(port in seen)) print "listens=" port " " name; seen[port] = 1 }' | sed 40q
}

egress_stamp() {
    {
        cat "$1"
        nft -s list table inet "$2"
    } 2>&1 | sha256sum | cut -d' ' -f1
}

# egress_write PATH TABLE UNIT AT-BOOT TEXT (of the unit) <content
egress_write() {
    command -v nft >/dev/null || fail "there is no nft on the server: add nftables to the inventory's packages"
    found_folder "${1%/*}"
    (umask 022 && mkdir -p "${1%/*}" "$provision_stamps")
    put "$provision_stamps/$2.nft" root root 644
    if ! verdict=$(nft -c -f "$provision_stamps/$2.nft" 2>&1); then
        rm -f "$provision_stamps/$2.nft"
        printf '%s\n' "$verdict"
        fail "nft refuses the rules, so nothing was loaded: $(printf '%s\n' "$verdict" | head -n 1)"
    fi
    mv -fT "$provision_stamps/$2.nft" "$1"
    printf '%s' "$5" | put "$3" root root 644
    mkdir -p "${4%/*}"
    point "$4" "$3"
    systemctl daemon-reload
    nft -f "$1"
    systemctl restart provision-egress.service
    egress_stamp "$1" "$2" | put "$provision_stamps/$2" root root 644
}

# egress_remove PATH TABLE UNIT AT-BOOT: the unit goes with the last app's rules.
egress_remove() {
    if command -v nft >/dev/null && nft list table inet "$2" >/dev/null 2>&1; then nft delete table inet "$2"; fi
    rm -f "$1" "$provision_stamps/$2"
    if rmdir "${1%/*}" 2>/dev/null; then
        systemctl stop provision-egress.service 2>/dev/null || true
        rm -f "$3" "$4"
        rmdir "$root/etc/provision" 2>/dev/null || true
        systemctl daemon-reload
    fi
}

# egress_remove_all FOLDER UNIT AT-BOOT
egress_remove_all() {
    for rules in "$1"/*.nft; do
        if [ ! -e "$rules" ]; then continue; fi
        name=${rules##*/} name=${name%.nft}
        egress_remove "$rules" "provision_app_$(printf '%s' "$name" | tr - _)" "$2" "$3"
    done
}
