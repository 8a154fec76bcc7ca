# shellcheck shell=sh disable=SC2154

# In: NUMBER FOLDER TIMER "PATH PATH..." yes|no (whether it is wanted). Out: a record for each file with path and sha256, there=yes if there is one or
# the folder; and enabled and active (of the timer). systemctl is asked only where it is wanted.
integrity_probe() {
    while IFS='	' read -r number folder timer paths wanted; do
        for path in $paths; do
            if [ -e "$root$path" ]; then printf '%s\tpath=%s\tsha256=%s\tthere=yes\n' "$number" "$path" "$(sha256sum <"$root$path" | cut -d' ' -f1)"; fi
        done
        if [ -e "$root$folder" ]; then printf '%s\tthere=yes\n' "$number"; fi
        if [ "$wanted" = no ]; then continue; fi
        printf '%s\tenabled=%s\tactive=%s\n' "$number" "$(systemctl is-enabled "$timer" 2>/dev/null)" "$(systemctl is-active "$timer" 2>/dev/null)"
    done
}

# integrity_file PATH <content
integrity_file() {
    found_folder "$root${1%/*}"
    (umask 022 && mkdir -p "$root${1%/*}")
    put "$root$1" root root 644
}

# integrity_begin FOLDER TIMER: the first check notes what there is, and the run does not wait for it.
integrity_begin() {
    (umask 077 && mkdir -p "$root$1")
    systemctl daemon-reload
    systemctl enable --quiet "$2"
    systemctl restart "$2"
    if [ ! -e "$root$1/now" ]; then systemctl start --no-block "${2%.timer}.service"; fi
}

# integrity_remove FOLDER TIMER PATH...
integrity_remove() {
    folder=$root$1 timer=$2
    shift 2
    for unit in "$timer" "${timer%.timer}.service"; do systemctl stop "$unit" 2>/dev/null || true; done
    systemctl disable --quiet "$timer" 2>/dev/null || true
    for path; do
        rm -f "$root$path"
        if grep -qsxF -e "$root${path%/*}" "$provision_found/folders"; then rmdir "$root${path%/*}" 2>/dev/null || true; fi
    done
    rm -rf "$folder" "$root/var/lib/systemd/timers/stamp-$timer"
    systemctl daemon-reload
    systemctl reset-failed "${timer%.timer}.service" 2>/dev/null || true
}
