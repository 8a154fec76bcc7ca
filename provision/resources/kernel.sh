# shellcheck shell=sh disable=SC2154
kernel_live=$root/proc/sys

# In: NUMBER PATH "NAME NAME..."; a name is a path below /proc/sys, and may hold a *. Out: file (yes or no) and content (base64); a record for
# each value with name, now, and can (yes where it can be set); and one for each that was changed, with name and was.
# One grep reads all values (the shell would read them byte by byte, and the kernel gives them whole).
kernel_probe() {
    while IFS='	' read -r number path names; do
        file=no content=''
        if [ -f "$root$path" ]; then file=yes content=$(base64 -w 0 <"$root$path"); fi
        printf '%s\tfile=%s\tcontent=%s\n' "$number" "$file" "$content"
        was=$(if [ -e "$provision_kernel" ]; then cut -d ' ' -f 1 "$provision_kernel"; fi)
        # shellcheck disable=SC2046,SC2086 # the names are words, and the * is for the shell
        set -- $(kernel_paths $names $was)
        if [ "$#" = 0 ]; then continue; fi
        grep -sH '' "$@" | while IFS=: read -r value now; do
            can=no
            if [ -w "$value" ]; then can=yes; fi
            printf '%s\tname=%s\tnow=%s\tcan=%s\n' "$number" "${value#"$kernel_live/"}" "$now" "$can"
        done
        if [ -n "$was" ]; then sed "s/^\([^ ]*\) \(.*\)/$number	name=\1	was=\2/" "$provision_kernel"; fi
    done
}

# kernel_paths NAME...: those that there are, but for those of interfaces with unusual names.
kernel_paths() {
    for name; do
        # shellcheck disable=SC2086
        for each in $kernel_live/$name; do
            case ${each#"$kernel_live/"} in *[!A-Za-z0-9_.:@/-]*) continue ;; esac
            if [ -e "$each" ]; then echo "$each"; fi
        done
    done
}

# kernel_set NAME=VALUE...: what each was is noted before, once.
kernel_set() {
    for each; do
        name=${each%%=*}
        if [ ! -e "$kernel_live/$name" ]; then continue; fi
        was=$(cat "$kernel_live/$name") || continue
        if ! grep -qs "^$name " "$provision_kernel"; then printf '%s %s\n' "$name" "$was" >>"$provision_kernel"; fi
    done
    if [ -e "$provision_kernel" ]; then sync "$provision_kernel"; fi
    for each; do kernel_write "${each%%=*}" "${each#*=}"; done
}

kernel_write() {
    if [ ! -e "$kernel_live/$1" ]; then return 0; fi
    { printf '%s\n' "$2" >"$kernel_live/$1"; } 2>/dev/null || notice "the kernel refuses $1 = $2"
}

# kernel_back NAME...: values are what they were, and the notes of them go.
kernel_back() {
    if [ ! -e "$provision_kernel" ] || [ "$#" = 0 ]; then return 0; fi
    for name; do
        was=$(sed -n "s|^$name ||p" "$provision_kernel")
        if [ -n "$was" ]; then kernel_write "$name" "$was"; fi
    done
    for name; do printf '%s\n' "$name"; done | awk 'NR == FNR { gone[$1] = 1; next } !($1 in gone)' - "$provision_kernel" |
        put "$provision_kernel" root root 600
    if [ ! -s "$provision_kernel" ]; then rm -f "$provision_kernel"; fi
}

# kernel_file PATH <content: nothing at the path if that is empty.
kernel_file() {
    put "$root$1" root root 644
    if [ ! -s "$root$1" ]; then rm -f "$root$1"; fi
}
