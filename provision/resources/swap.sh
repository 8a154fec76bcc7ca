# shellcheck shell=sh disable=SC2154
swap_units=$root/etc/systemd/system

# In: NUMBER PATH. Out, one record each: container (its kind, empty on a machine), content (none, swap or other), size (bytes),
# access, active (yes or no), other (swap in use that is not this file), unit (yes or no), room (free bytes in the folder).
swap_probe() {
    container=$(systemd-detect-virt --container 2>/dev/null)
    if [ "$container" = none ]; then container=; fi
    in_use=$(swap_in_use)
    while IFS='	' read -r number path; do
        file=$root$path
        content=$(swap_content "$file") size='' access='' active=no unit=no
        if [ "$content" != none ]; then
            size=$(stat -c %s "$file")
            access=$(stat -c '%a %U:%G' "$file")
        fi
        if printf '%s\n' "$in_use" | grep -qxF "$file"; then active=yes; fi
        if swap_has_unit "$path"; then unit=yes; fi
        printf '%s\tcontainer=%s\tcontent=%s\tsize=%s\taccess=%s\tactive=%s\tother=%s\tunit=%s\troom=%s\n' \
            "$number" "$container" "$content" "$size" "$access" "$active" \
            "$(printf '%s\n' "$in_use" | grep -vxF "$file" | head -n 1)" "$unit" "$(swap_room "${file%/*}/")"
    done
}

swap_in_use() { swapon --show=NAME --noheadings --raw 2>/dev/null; }

# swap_content FILE: none, swap, or other.
swap_content() {
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        echo none
    elif [ -f "$1" ] && [ ! -L "$1" ] && [ "$(blkid -p -s TYPE -o value "$1" 2>/dev/null)" = swap ]; then
        echo swap
    else
        echo other
    fi
}

# swap_room FOLDER: free bytes, with those of a killed run's leftovers; nothing where there is no such folder.
swap_room() {
    if [ -d "$1" ]; then
        room=$(($(stat -f -c '%a * %S' "$1")))
        for beside in "$1".provision.??????; do
            if [ -f "$beside" ]; then room=$((room + $(stat -c '%b * %B' "$beside"))); fi
        done
        echo "$room"
    fi
}

swap_unit_name() { systemd-escape --path --suffix=swap "$1"; }

# swap_unit PATH: the text of its unit.
swap_unit() {
    printf '%s\n' '[Unit]' "Description=Swap file $1" '' '[Swap]' "What=$1" '' '[Install]' WantedBy=swap.target
}

swap_has_unit() {
    name=$(swap_unit_name "$1")
    [ -e "$swap_units/swap.target.wants/$name" ] && [ "$(cat "$swap_units/$name" 2>/dev/null)" = "$(swap_unit "$1")" ]
}

# swap_make PATH SIZE: only a finished file gets the name PATH, and only one that works gets a unit.
swap_make() {
    file=$root$1
    if [ "$(swap_content "$file")" != swap ] || [ "$(stat -c %s "$file")" != "$2" ]; then swap_write "$file" "$2"; fi
    chown root:root "$file"
    chmod 600 "$file"
    if ! swap_in_use | grep -qxF "$file"; then
        said=$(swapon "$file" 2>&1) || fail "$1 cannot be used as swap: $said"
    fi
    if ! swap_has_unit "$1"; then
        mkdir -p "$swap_units/swap.target.wants"
        swap_unit "$1" | put "$swap_units/$name" root root 644
        point "$swap_units/swap.target.wants/$name" "../$name"
        if [ -d "$root/run/systemd/system" ]; then systemctl daemon-reload; fi
    fi
}

# swap_write FILE SIZE: zeros, as swapon(8) refuses files with holes. What a killed run left beside goes.
swap_write() {
    for beside in "${1%/*}"/.provision.??????; do if [ -f "$beside" ]; then rm -f "$beside"; fi; done
    beside=$(mktemp "${1%/*}/.provision.XXXXXX")
    trap 'rm -f "$beside"' EXIT
    chmod 600 "$beside"
    head -c "$2" /dev/zero >"$beside" || fail "$1: the disk is full: free some of it"
    mkswap "$beside" >/dev/null
    sync "$beside"
    if swap_in_use | grep -qxF "$1"; then
        said=$(swapoff "$1" 2>&1) || fail "$1 stays as it is, as it cannot be taken out of use: $said"
    fi
    mv -fT "$beside" "$1"
    sync "${1%/*}/"
}

# In: NUMBER PATH. Out: there=yes where there is a file, or a unit for one.
swap_file_probe() {
    while IFS='	' read -r number path; do
        if swap_is_there "$path"; then printf '%s\tthere=yes\n' "$number"; fi
    done
}

# swap_is_there PATH, which has none of the characters that systemd-escape(1) changes, but for its slashes.
swap_is_there() { [ -e "$root$1" ] || [ -e "$swap_units/$(printf '%s' "${1#/}" | tr / -).swap" ]; }

# swap_remove PATH
swap_remove() {
    if swap_in_use | grep -qxF "$root$1"; then
        said=$(swapoff "$root$1" 2>&1) || fail "$1 cannot be taken out of use: $said"
    fi
    name=$(swap_unit_name "$1")
    rm -f "$swap_units/swap.target.wants/$name" "$swap_units/$name" "$root$1"
    rmdir "$swap_units/swap.target.wants" 2>/dev/null || true
    if [ -d "$root/run/systemd/system" ]; then systemctl daemon-reload; fi
}
