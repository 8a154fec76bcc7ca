# shellcheck shell=sh

# In: NUMBER PATH SHA256 ("-": any). Out: type, mode, owner, group, value (a file's SHA-256, a link's target) and
# content (base64), if there is anything.
# One stat and one sha256sum for all; a file's content is read only if its checksum is not the wanted one.
file_probe() {
    items=$(cat)
    paths=$(printf '%s\n' "$items" | cut -f2 | sort -u)
    {
        printf '%s\n' "$paths" | xargs -r -d '\n' stat --printf 'S\t%n\t%F\t%a\t%U\t%G\n' 2>/dev/null
        printf '%s\n' "$items" | awk -F '\t' '$3 != "-" { print $2 }' | xargs -r -d '\n' sha256sum 2>/dev/null |
            sed -n 's/^\([0-9a-f]\{64\}\)  \(.*\)$/H\t\2\t\1/p'
        printf '%s\n' "$items" | sed 's/^/I\t/'
    } | awk -F '\t' -v OFS='\t' '
        $1 == "S" { stat[$2] = "type=" $3 OFS "mode=" $4 OFS "owner=" $5 OFS "group=" $6; type[$2] = $3; next }
        $1 == "H" { sum[$2] = $3; next }
        !($3 in stat) { next }
        type[$3] == "symbolic link" { print "L", $2, $3, stat[$3]; next }
        $4 != "-" && type[$3] ~ /^regular/ && sum[$3] != $4 { print "C", $2, $3, stat[$3], "value=" sum[$3]; next }
        { print "-", $2, stat[$3], "value=" sum[$3] }' |
        while IFS='	' read -r more number rest; do
            case $more in
            -) printf '%s\t%s\n' "$number" "$rest" ;;
            L) printf '%s\t%s\tvalue=%s\n' "$number" "${rest#*	}" "$(readlink "${rest%%	*}")" ;;
            C) printf '%s\t%s\tcontent=%s\n' "$number" "${rest#*	}" "$(head -c 262144 "${rest%%	*}" | base64 -w 0)" ;;
            esac
        done
}

# file_write PATH OWNER GROUP MODE CHECK <content
file_write() {
    path=$1 owner=$2 group=$3 mode=$4 check=$5
    before=
    if [ -n "$check" ] && [ -e "$path" ]; then
        before=${path%/*}/.${path##*/}.provision-before
        cp -a "$path" "$before"
    fi
    put "$path" "$owner" "$group" "$mode"
    if [ -n "$check" ] && ! verdict=$(eval "$check" 2>&1); then
        if [ -n "$before" ]; then mv -fT "$before" "$path"; else rm -f "$path"; fi
        printf '%s\n' "$verdict"
        fail "$path was put back as it was: $check refused the new one"
    fi
    if [ -n "$before" ]; then rm -f "$before"; fi
}

# file_make_directory PATH OWNER GROUP MODE
file_make_directory() {
    path=$1 owner=$2 group=$3 mode=$4
    if [ ! -d "$path" ]; then
        if [ -e "$path" ] || [ -L "$path" ]; then fail "$path is there and is not a folder: move it away"; fi
        found_folder "$path"
        (umask 022 && mkdir -p "$path")
    fi
    chown "$owner:$group" "$path"
    chmod "$mode" "$path"
}

# file_make_link PATH TARGET
file_make_link() {
    path=$1 target=$2
    if [ -d "$path" ] && [ ! -L "$path" ]; then fail "$path is a directory, not a link: move it away"; fi
    point "$path" "$target"
}
