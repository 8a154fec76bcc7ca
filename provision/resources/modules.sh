# shellcheck shell=sh disable=SC2154

# In: NUMBER PATH "NAME NAME...", with _ in the names. Out: file (yes or no), content (base64), and loaded, for each of them that the kernel has loaded.
modules_probe() {
    while IFS='	' read -r number path names; do
        file=no content=''
        if [ -f "$root$path" ]; then file=yes content=$(base64 -w 0 <"$root$path"); fi
        printf '%s\tfile=%s\tcontent=%s\n' "$number" "$file" "$content"
        for name in $names; do
            if grep -qs "^$name " "$root/proc/modules"; then printf '%s\tloaded=%s\n' "$number" "$name"; fi
        done
    done
}

# modules_file PATH <content: nothing at the path if that is empty.
modules_file() {
    dropin_begin "$root$1"
    put "$root$1" root root 644
    if [ ! -s "$root$1" ]; then rm -f "$root$1"; fi
    dropin_end "$root$1" ''
}
