# shellcheck shell=sh disable=SC2154

# In: NUMBER. Out: a record with six (whether the server has a global IPv6 address), and one for each rule on what comes in: tool (ufw,
# firewalld, nft or iptables), family (4, 6, or none) and rule. Rules of iptables and nft are read only where no other tool writes them.
firewall_probe() {
    read -r number || return 0
    six=no
    while read -r _ _ _ scope _ device; do
        if [ "$scope" = 00 ] && [ "$device" != lo ]; then six=yes; fi
    done 2>/dev/null <"$root/proc/net/if_inet6"
    printf '%s\tsix=%s\n' "$number" "$six"
    if grep -qs '^ENABLED=yes' "$root/etc/ufw/ufw.conf"; then
        firewall_ufw
    elif [ -e "$root/etc/firewalld/firewalld.conf" ] && systemctl -q is-active firewalld; then
        firewall_firewalld
    else
        firewall_kernel
    fi | tr -d '\r' | head -n 600 | sed "s/^/$number	/"
}

# firewall_rules TOOL FAMILY <rules, one a line
firewall_rules() { tr '\t' ' ' | sed "s/^ */tool=$1	family=$2	rule=/"; }

# firewall_ufw: what stands in its files. `ufw status` says the same, and takes 0.3 s, as it is a Python program.
firewall_ufw() {
    sed -n 's/^DEFAULT_INPUT_POLICY="*\([A-Z]*\)"*$/policy \1/p; s/^IPV6="*\([a-z]*\)"*$/ipv6 \1/p' "$root/etc/default/ufw" | firewall_rules ufw ''
    for family in 4 6; do
        name=${family#4}
        sed -n 's/^### tuple ### //p' "$root/etc/ufw/user$name.rules" 2>/dev/null | firewall_rules ufw "$family"
        # What somebody wrote by hand: any port there may be an open one.
        sed -n '/^-A.* -p tcp .*--dport/p' "$root/etc/ufw/before$name.rules" "$root/etc/ufw/after$name.rules" 2>/dev/null | firewall_rules ufw "$family"
    done
}

# firewall_firewalld: what any zone opens that may be in use: its own, or the default one. firewall-cmd takes 0.3 s, too.
firewall_firewalld() {
    default=$(sed -n 's/^DefaultZone=\([A-Za-z0-9_-]*\)$/\1/p' "$root/etc/firewalld/firewalld.conf")
    if [ ! -e "$root/etc/firewalld/zones/$default.xml" ]; then set -- "$root/usr/lib/firewalld/zones/$default.xml"; fi
    printf 'zone %s\n' "$default" | firewall_rules firewalld ''
    cat "$root"/etc/firewalld/zones/*.xml "$@" 2>/dev/null | tr -d '\n' | sed 's/</\n</g' |
        sed -n 's/^<\(service\|port\|zone\|rule\) *\(.*\)>.*$/\1 \2/p' | firewall_rules firewalld ''
}

# firewall_kernel: the chains that the kernel asks about what comes in.
firewall_kernel() {
    if command -v nft >/dev/null; then nft list ruleset 2>/dev/null | firewall_rules nft ''; fi
    if command -v iptables >/dev/null; then iptables -S INPUT 2>/dev/null | firewall_rules iptables 4; fi
    if command -v ip6tables >/dev/null; then ip6tables -S INPUT 2>/dev/null | firewall_rules iptables 6; fi
}
