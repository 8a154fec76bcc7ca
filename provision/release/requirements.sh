# shellcheck shell=sh disable=SC2154
# What an app requires: the file that says so, and a key for what that file says.
# TREE is a release's folder, FOLDER the app's folder in it, FILE a path relative to that, which may begin with ../.

# requirements_read FILE: what is in it. A commit may have a link to anything, which may have no end, or be another's to change: only what
# is a file in the tree itself is read, by its own name. Reads requirements_tree.
requirements_read() {
    real=$(readlink -f "$1" || true)
    case $real in "${requirements_tree:-}"/*) if [ -f "$real" ]; then cat "$real"; fi ;; esac
}

# requirements_file TREE FOLDER REQUIREMENTS: the file that says what to install; empty if there is none.
requirements_file() {
    requirements_tree=$(readlink -f "$1")
    if [ "$3" != auto ]; then
        printf '%s\n' "$3"
        return 0
    fi
    lock=$(requirements_lock "$1" "$2")
    if [ -n "$lock" ]; then
        printf '%s\n' "$lock"
        return 0
    fi
    for each in requirements.txt pylock.toml poetry.lock pdm.lock; do
        if [ -e "$1/$2/$each" ]; then
            echo "$each"
            return 0
        fi
    done
    if requirements_read "$1/$2/pyproject.toml" | grep -q '^\[project\]'; then
        echo pyproject.toml
    fi
}

# requirements_lock TREE FOLDER: the lock that uv itself would use there; empty if there is none. It belongs to the nearest project
# upwards, or to the workspace that has this project as a member.
requirements_lock() {
    project=$2
    while [ ! -e "$1/$project/pyproject.toml" ] && [ ! -e "$1/$project/uv.lock" ]; do
        # An app with requirements of its own is no part of a project above it.
        if [ "$project" = . ] || [ -e "$1/$project/requirements.txt" ]; then return 0; fi
        project=$(dirname "$project")
    done
    owner=$project above=$project
    while [ "$above" != . ]; do
        above=$(dirname "$above")
        if requirements_has_member "$1/$above/pyproject.toml" "${project#"$above"/}"; then
            owner=$above
            break
        fi
    done
    if [ ! -e "$1/$owner/uv.lock" ]; then return 0; fi
    below=${2#"$owner"} below=${below#/}
    if [ "$below" = . ]; then below=; fi
    printf '%suv.lock\n' "$(printf '%s' "$below" | sed 's|[^/]\{1,\}/\{0,1\}|../|g')"
}

# requirements_has_member PYPROJECT PATH: whether it is a workspace's, and has the project at PATH, relative to it, as a member.
requirements_has_member() {
    [ -e "$1" ] && requirements_matches "$1" members "$2" && ! requirements_matches "$1" exclude "$2"
}

# requirements_matches PYPROJECT KEY PATH: whether a pattern of this list in [tool.uv.workspace] matches; * stands for one folder's name.
requirements_matches() {
    requirements_read "$1" | awk -v key="$2" '
        { sub(/\r$/, ""); sub(/[[:space:]]*#.*/, "") }
        /^[[:space:]]*\[[^]]*\]$/ && !open { inside = /\[tool\.uv\.workspace\]/; next }
        inside && !open && $0 ~ "^[[:space:]]*" key "[[:space:]]*=" { open = 1; sub(/^[^=]*=/, "") }
        open { n = split($0, part, /["\047]/); for (i = 2; i <= n; i += 2) print part[i]; if (/\]/ && part[n] ~ /\]/) open = 0 }' |
        while read -r pattern; do
            pattern=${pattern#./} pattern=${pattern%/}
            case $pattern in *'**'*) ;; *) if [ "$(printf '%s' "$pattern" | tr -cd /)" != "$(printf '%s' "$3" | tr -cd /)" ]; then continue; fi ;; esac
            # shellcheck disable=SC2254 # it is a pattern
            case $3 in $pattern) echo yes ;; esac
        done | grep -q yes
}

# requirements_text FILE [DEPTH]: a requirements file and, in turn, the files that it includes; one that includes itself ends. A commit may have files
# that include each other without an end: after a while, what is not read counts as the commit's own.
requirements_text() {
    if [ -z "${2:-}" ]; then requirements_left=500; fi
    requirements_read "$1"
    while read -r included _; do
        if [ "$requirements_left" = 0 ]; then
            echo ./unread
            return 0
        fi
        requirements_left=$((requirements_left - 1))
        if [ -z "$included" ] || [ "${2:-0}" = 8 ] || [ ! -e "${1%/*}/$included" ]; then continue; fi
        requirements_text "${1%/*}/$included" $((${2:-0} + 1))
    done <<END_OF_INCLUDED
$(requirements_read "$1" | cut -b -4096 | tr -d '\r' | sed -n 's/^[[:space:]]*\(-r\|--requirement\|-c\|--constraint\)[= ]*//p' | head -n 501)
END_OF_INCLUDED
}

# requirements_key TREE FOLDER REQUIREMENTS BASE: environments with the same key are interchangeable. One into which code of the
# commit may be installed belongs to that commit; one that has only what indexes and other repositories have is the same for many.
# An upgrade of the distribution gives its python3 another target, python3.13 for example.
requirements_key() {
    requirements_tree=$(readlink -f "$1")
    file=$(requirements_file "$1" "$2" "$3")
    path=$1/$2/$file
    {
        printf '%s\n%s\n' "$4" "$file"
        case $4 in '/usr '*) readlink -f "$root/usr/bin/python3" ;; esac || true
        case $file in
        *.txt) requirements_text "$path" ;;
        *) for each in "$1/$2/pyproject.toml" "$path" "${path%/*}/pyproject.toml"; do requirements_read "$each"; done ;;
        esac
        if [ -f "$1/.upgraded" ]; then cat "$1/.upgraded"; fi
        if ! requirements_are_foreign "$path" "$1/$2"; then cat "$1/.release"; fi
    } 2>/dev/null | sha256sum | cut -c1-16
}

# requirements_are_foreign PATH SOURCE: whether all that is installed comes from indexes and other repositories. Whatever is not known
# to come from there counts as the commit's own.
requirements_are_foreign() {
    case $1 in
    *.txt) ! requirements_text "$1" | requirements_own_lines | grep -q . ;;
    *poetry.lock | *pdm.lock) ! requirements_install_project "${1%/*}/pyproject.toml" && ! requirements_read "$1" | requirements_own_locked | grep -q . ;;
    *.lock)
        ! requirements_read "$1" | grep 'source = {' | grep -qvE 'source = \{ (registry = "https?://|git = "(https|ssh)://|url = "https?://|virtual = ")' &&
            ! requirements_own_project "$2/pyproject.toml" '^\[build-system\]' && ! requirements_own_project "${1%/*}/pyproject.toml" '^\[build-system\]'
        ;;
    *pyproject.toml) ! requirements_own_project "$1" '^[[:space:]]*\[ *build-system|(^|[^a-z_-])"?(path|workspace|find-links|dynamic)"?[[:space:]]*=|file:|^[[:space:]]*url[[:space:]]*=[[:space:]]*["'\''](\.|/|[a-z]*/)' ;;
    *) ! requirements_read "$1" | grep -qE '(^|[^a-z_-])"?(path|directory)"?[[:space:]]*[]=]|"file:' ;;
    esac
}

# requirements_install_project PYPROJECT: whether Poetry or PDM would install the project itself, too.
requirements_install_project() {
    requirements_own_project "$1" '^[[:space:]]*\[ *build-system' && ! requirements_own_project "$1" \
        '^[[:space:]]*(package-mode|distribution)[[:space:]]*=[[:space:]]*false|^[[:space:]]*package-type[[:space:]]*=[[:space:]]*["'\'']application'
}

# requirements_own_locked <LOCK: of Poetry's or PDM's lock, the lines that may name code of the commit: whatever is neither an index's nor
# at an address on the network.
requirements_own_locked() {
    tr -d '\r' | grep -E '^[[:space:]]*(type|path|editable|git|url|source)[[:space:]]*=|"file:|(develop|editable) = true' |
        grep -vE '^(type = "(legacy|git|url)"$|(git|url) = "((https?|ssh|git\+https|git\+ssh)://|[a-z]+@[^/]*:))'
}

# requirements_are_open PATH: whether versions are resolved anew, as no lock pins them.
requirements_are_open() {
    case $1 in
    *pyproject.toml) ;;
    *.txt) requirements_text "$1" | tr -d '\r' | grep -E '^[[:space:]]*[A-Za-z0-9]' | grep -qvE '==|@' ;;
    *) return 1 ;;
    esac
}

# requirements_own_project PYPROJECT PATTERN
requirements_own_project() { requirements_read "$1" | grep -qE "$2"; }

# requirements_own_lines <REQUIREMENTS: the lines that are neither an option, nor NAME and a version, nor an address on the network.
requirements_own_lines() {
    tr -d '\r' | sed 's/^[[:space:]]*//; s/\(^\|[[:space:]]\)#.*//; s/[[:space:]]*\\\{0,1\}$//; /^$/d' |
        grep -vE '^(-r|-c|-i|--requirement|--constraint|--index-url|--extra-index-url|--hash|--pre|--no-binary|--only-binary|--prefer-binary|--require-hashes|--trusted-host)([= ]|$)' |
        grep -vE '^-[rc][^ ]' |
        grep -vE '^([A-Za-z0-9][A-Za-z0-9._-]*[[:space:]]*(\[[^]]*\])?[[:space:]]*@[[:space:]]*)?(https?|git\+https|git\+ssh)://' |
        grep -E '\.(whl|zip|tar\.gz|tgz)$|^[^A-Za-z0-9]|^[A-Za-z0-9][A-Za-z0-9._-]*[[:space:]]*(\[[^]]*\])?[[:space:]]*[^][A-Za-z0-9._[:space:]<>=!~;(-]'
}
