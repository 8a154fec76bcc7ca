# shellcheck shell=sh disable=SC2154

# In: NUMBER PATH KEYS yes|no. Out: content and keys (base64), and, where there are settings (yes): include (yes or no), kex, cipher, mac
# and key (what this OpenSSH has, by commas), and t.NAME (what sshd has now).
sshd_probe() {
    while IFS='	' read -r number path keys wanted; do
        printf '%s\tcontent=%s\tkeys=%s\n' "$number" "$(base64 -w 0 2>/dev/null <"$root$path")" "$(base64 -w 0 2>/dev/null <"$root$keys")"
        if [ "$wanted" = yes ]; then sshd_present | sed "s/^/$number	/"; fi
    done
}

sshd_present() {
    include=no
    if grep -qsi '^[[:space:]]*include[[:space:]].*/sshd_config\.d/\*\.conf' "$root/etc/ssh/sshd_config"; then include=yes; fi
    printf 'include=%s\t%s\n' "$include" "$(sshd_algorithms)"
    # Some, such as ListenAddress, are there more than once: the last one counts.
    sshd -T 2>/dev/null | sed -n 's/^\([a-z]*\) \(.*\)$/t.\1=\2/p' | tac | awk -F = '!there[$1]++' | tr '\n' '\t' | sed 's/\t$/\n/'
}

# sshd_algorithms: what this OpenSSH has. It takes as long to ask as all else of sshd together, so it was noted for this program.
sshd_algorithms() {
    if [ "$(head -n 1 "$provision_stamps/ssh" 2>/dev/null)" = "$(sshd_program)" ]; then
        sed 1d "$provision_stamps/ssh"
    else
        printf 'kex=%s\tcipher=%s\tmac=%s\tkey=%s\n' "$(sshd_has kex)" "$(sshd_has cipher)" "$(sshd_has mac)" "$(sshd_has HostKeyAlgorithms)"
    fi
}

sshd_program() { stat -L -c '%i %s %Z' /usr/bin/ssh; }

sshd_has() { ssh -Q "$1" 2>/dev/null | tr '\n' ',' | sed 's/,$//'; }

# sshd_keys PATH <lines
sshd_keys() {
    if [ ! -d "${1%/*}" ]; then mkdir -m 755 "${1%/*}"; fi
    put "$1" root root 644
}

# sshd_write PATH <content
sshd_write() {
    put "$1" root root 644
    sshd_load
    mkdir -p "$provision_stamps"
    { sshd_program && sshd_algorithms; } | put "$provision_stamps/ssh" root root 644
}

# sshd_remove PATH KEYS
sshd_remove() {
    rm -rf "$1" "$2" "$provision_stamps/ssh"
    sshd_load
}

# sshd_load: with what it refuses, nothing is loaded. A reload returns before sshd has read its files; then it has sockets of its own anew.
sshd_load() {
    if ! verdict=$(sshd -t 2>&1); then
        printf '%s\n' "$verdict"
        fail "sshd refuses its new settings, so they were taken back: $(printf '%s\n' "$verdict" | head -n 1)"
    fi
    before=$(sshd_sockets)
    systemctl try-reload-or-restart ssh.service
    tries=0
    while { [ -z "$(sshd_sockets)" ] || [ "$(sshd_sockets)" = "$before" ]; } && [ "$tries" -lt 20 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

sshd_sockets() { ss -Hltnpe 2>/dev/null | sed -n '/"sshd"/s/.* ino:\([0-9]*\).*/\1/p' | sort; }
