# shellcheck shell=sh disable=SC2154
# Files that are written together. What they were before is kept until all have passed their check.

# In: NUMBER NAME (PATH SHA256)... Out: for each path what file_probe says, after member (its number, from 1); unchecked=yes if a run
# was killed before the check.
file_set_probe() {
    while IFS= read -r item; do
        number=${item%%	*}
        item=${item#*	}
        printf '%s\n' "${item#*	}" | awk -F '\t' -v OFS='\t' '{ for (n = 1; n < NF; n += 2) print (n + 1) / 2, $n, $(n + 1) }' |
            file_probe | sed "s/^\([0-9]*\)	/$number	member=\1	/"
        if [ -e "$provision_before/${item%%	*}" ]; then printf '%s\tunchecked=yes\n' "$number"; fi
    done
}

# file_set_begin NAME PATH...: keep what the paths have, and put it back whatever happens from here on. What a killed run has kept
# stays: those files passed their check.
file_set_begin() {
    before=$provision_before/$1
    shift
    mkdir -p "$before/tree"
    for path; do
        if grep -qsxF "$path" "$before/paths"; then continue; fi
        mkdir -p "$before/tree${path%/*}"
        if [ -e "$path" ] || [ -L "$path" ]; then file_set_copy "$path" "$before/tree$path"; fi
        printf '%s\n' "$path" >>"$before/paths"
    done
    if [ -e "$before/paths" ]; then sync "$before/paths"; fi
    trap file_set_undo EXIT
}

# file_set_copy FROM TO: the same inode, so that whoever goes by it finds nothing changed; a copy on another filesystem.
file_set_copy() {
    rm -f "$2"
    cp -alT "$1" "$2" 2>/dev/null || cp -aT "$1" "$2"
}

file_set_undo() {
    if [ -e "$before/paths" ]; then
        while read -r path; do
            kept=$before/tree$path
            if [ -e "$kept" ] || [ -L "$kept" ]; then
                file_set_copy "$kept" "${path%/*}/.provision-before" && mv -fT "${path%/*}/.provision-before" "$path"
                # Of two names of one inode, a rename leaves both.
                rm -f "${path%/*}/.provision-before"
            else
                rm -f "$path"
            fi
        done <"$before/paths"
    fi
    rm -rf "$before"
}

# file_set_check NAME CHECK REFUSES PATH...: what the check says first, of what is wrong, is the reason. The paths are removed if
# nothing is.
file_set_check() {
    before=$provision_before/$1
    if ! verdict=$(eval "$2" 2>&1) || { [ -n "$3" ] && printf '%s\n' "$verdict" | grep -qE -e "$3"; }; then
        printf '%s\n' "$verdict"
        reason=$(printf '%s\n' "$verdict" | grep -m 1 -E -e "\[emerg\]${3:+|$3}" || printf '%s\n' "$verdict" | head -n 1)
        reason=$(printf '%s\n' "$reason" | sed 's/^[^[]*\[[a-z]*\] \([0-9]*#[0-9]*: \)\{0,1\}//')
        fail "the files of $1 were put back as they were, all of them, as $2 refused the new ones: $reason"
    fi
    trap - EXIT
    shift 3
    rm -rf "$before" "$@"
}
