# shellcheck shell=sh disable=SC2154

# In: NUMBER. Out: a record with six (whether the server has a global IPv6 address), and one for each rule on what comes in: tool (ufw,
# firewalld, nft, iptables or iptables-legacy), family (4, 6, or none) and rule. Rules of iptables and nft are read only where no other tool writes them.
firewall_probe() {
    read -r number || return 0
    six=no
    while read -r _ _ _ scope _ device; do
        if [ "$scope" = 00 ] && [ "$device" != lo ]; then six=yes; fi
    done 2>/dev/null <"$root/proc/net/if_inet6"
    printf '%s\tsix=%s\n' "$number" "$six"
    if [ -r "$root/etc/ufw/ufw.conf" ] && grep -qs '^ENABLED=yes' "$root/etc/ufw/ufw.conf"; then
        firewall_ufw
    elif [ -e "$root/etc/firewalld/firewalld.conf" ] && systemctl -q is-active firewalld; then
        firewall_firewalld
    else
        firewall_kernel
    fi | sed "600q; s/\r//g; s/^/$number	/"
}

# firewall_rules TOOL FAMILY <rules, one a line
firewall_rules() { tr '\t' ' ' | sed "s/^ */tool=$1	family=$2	rule=/"; }

# firewall_ufw: what stands in its files. `ufw status` says the same, and takes 0.3 s, as it is a Python program. What somebody wrote by
# hand in before.rules and after.rules is given, too: any port there may be an open one.
firewall_ufw() {
    set --
    for file in "$root/etc/default/ufw" "$root"/etc/ufw/user*.rules "$root"/etc/ufw/before*.rules "$root"/etc/ufw/after*.rules; do
        if [ -r "$file" ]; then set -- "$@" "$file"; fi
    done
    awk '
        function tell(rule) { gsub(/\t/, " ", rule); print "tool=ufw\tfamily=" family "\trule=" rule }
        FNR == 1 { family = (FILENAME ~ /default/ ? "" : FILENAME ~ /6\.rules$/ ? 6 : 4) }
        !family && match($0, /^(DEFAULT_INPUT_POLICY|IPV6)=/) { gsub(/"/, ""); sub(/^DEFAULT_INPUT_POLICY=/, "policy "); sub(/^IPV6=/, "ipv6 "); tell($0) }
        family && sub(/^### tuple ### /, "") { tell($0) }
        family && FILENAME !~ /user6?\.rules$/ && /^-A.* -p tcp .*--dport/ { tell($0) }' "$@"
}

# firewall_firewalld: what any zone opens that may be in use: its own, or the default one. firewall-cmd takes 0.3 s, too.
firewall_firewalld() {
    default=$(sed -n 's/^DefaultZone=\([A-Za-z0-9_-]*\)$/\1/p' "$root/etc/firewalld/firewalld.conf")
    if [ ! -e "$root/etc/firewalld/zones/$default.xml" ]; then set -- "$root/usr/lib/firewalld/zones/$default.xml"; fi
    printf 'zone %s\n' "$default" | firewall_rules firewalld ''
    cat "$root"/etc/firewalld/zones/*.xml "$@" 2>/dev/null | tr -d '\n' | sed 's/</\n</g' |
        sed -n 's/^<\(service\|port\|zone\|rule\) *\(.*\)>.*$/\1 \2/p' | firewall_rules firewalld ''
}

# firewall_kernel: the chains that the kernel asks about what comes in. A tool whose modules are not loaded would make the kernel load
# them, and a kernel without them has no rules.
firewall_kernel() {
    if firewall_has nf_tables; then
        if command -v nft >/dev/null; then nft list ruleset 2>/dev/null | firewall_rules nft ''; fi
        firewall_iptables nft ''
    fi
    if firewall_filters ip; then firewall_iptables legacy 4; fi
    if firewall_filters ip6; then firewall_iptables legacy 6; fi
}

# firewall_filters ip|ip6: whether the kernel has the filter table of the older iptables.
firewall_filters() {
    while read -r table; do
        if [ "$table" = filter ]; then return 0; fi
    done 2>/dev/null <"$root/proc/net/$1_tables_names"
    return 1
}

# firewall_iptables nft|legacy 4|6|'': the rules of iptables of this kind, of one family or both; those of nft as plain iptables'.
firewall_iptables() {
    tool=iptables-$1 tool=${tool%-nft}
    if [ "$2" != 6 ] && command -v "iptables-$1" >/dev/null; then "iptables-$1" -S INPUT 2>/dev/null | firewall_rules "$tool" 4; fi
    if [ "$2" != 4 ] && command -v "ip6tables-$1" >/dev/null; then "ip6tables-$1" -S INPUT 2>/dev/null | firewall_rules "$tool" 6; fi
}

# firewall_has MODULE: whether the kernel has it: loaded, built in, or because it has no modules at all.
firewall_has() {
    if [ ! -s "$root/proc/modules" ]; then return 0; fi
    read -r release <"$root/proc/sys/kernel/osrelease"
    grep -qs "^$1 " "$root/proc/modules" || grep -qs "/$1\.ko" "$root/lib/modules/$release/modules.builtin"
}
