# shellcheck shell=sh disable=SC2154
# Marks: for each step, a file with one line that says for what it was done last.

# In: NUMBER APP NAME. Out: mark (its first line).
mark_probe() {
    while IFS='	' read -r number app name; do
        layout_app "$app"
        if [ -r "$app_state/$name" ] && read -r line <"$app_state/$name"; then printf '%s\tmark=%s\n' "$number" "$line"; fi
    done
}

# mark_write APP NAME LINE
mark_write() {
    layout_app "$1"
    (umask 022 && mkdir -p "$app_state")
    printf '%s\n' "$3" | put "$app_state/$2" root root 644
}
