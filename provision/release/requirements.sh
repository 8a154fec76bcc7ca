# shellcheck shell=sh disable=SC2154
# What an app requires: the file that says so, and a key for what that file says.

# requirements_file FOLDER REQUIREMENTS: the file that says what to install; empty if there is none.
requirements_file() {
    if [ "$2" != auto ]; then
        printf '%s\n' "$2"
    elif [ -e "$1/uv.lock" ]; then
        echo uv.lock
    elif [ -e "$1/requirements.txt" ]; then
        echo requirements.txt
    elif grep -qs '^\[project\]' "$1/pyproject.toml"; then
        echo pyproject.toml
    fi
}

# requirements_text FILE [DEPTH]: a requirements file and, in turn, the files that it includes; one that includes itself ends.
requirements_text() {
    cat "$1"
    tr -d '\r' <"$1" | sed -n 's/^[[:space:]]*\(-r\|--requirement\|-c\|--constraint\)[= ]*//p' |
        while read -r included _ || [ -n "$included" ]; do
            if [ "${2:-0}" -lt 8 ] && [ -e "${1%/*}/$included" ]; then requirements_text "${1%/*}/$included" $((${2:-0} + 1)); fi
        done
}

# requirements_key RELEASE_FOLDER FOLDER REQUIREMENTS BASE: environments with the same key are interchangeable. The code of a
# project that is itself installed counts, so each commit has its own; a list of requirements is the same for many commits.
# An upgrade of the distribution gives its python3 another target, python3.13 for example.
requirements_key() {
    file=$(requirements_file "$1/$2" "$3")
    {
        printf '%s\n%s\n' "$4" "$file"
        case $4 in '/usr '*) readlink -f "$root/usr/bin/python3" ;; esac || true
        case $file in
        *.txt)
            requirements_text "$1/$2/$file"
            if requirements_text "$1/$2/$file" | grep -qE '^[[:space:]]*(-e|--editable|\.|/)'; then cat "$1/.release"; fi
            ;;
        *)
            cat "$1/$2/pyproject.toml" "$1/$2/$file"
            if grep -qs '^\[build-system\]' "$1/$2/pyproject.toml"; then cat "$1/.release"; fi
            ;;
        esac
    } 2>/dev/null | sha256sum | cut -c1-16
}
