# shellcheck shell=sh
# The build of a virtual environment. It runs by itself, as the app's builder, in a box:
# sh -eu build.sh UV PYTHON VENV SOURCE FILE ITSELF EXTRAS GROUPS KEPT SERVER_REQUIREMENT... </dev/null
# ITSELF says whether a project with a lock of Poetry or PDM is installed, too; EXTRAS and GROUPS are names; KEPT is a
# file of versions to stay with where nothing pins them. Before it stands exporters, the versions of what reads the locks of other tools than uv.
# shellcheck disable=SC2154
uv=$1 python=$2 venv=$3 file=$5 itself=$6 extras=$7 groups=$8 kept=$9
cd "$4" || exit
shift 9

# flags OPTION NAMES: OPTION NAME for each.
flags() {
    # shellcheck disable=SC2086 # the names are words
    for each in $2; do printf ' %s %s' "$1" "$each"; done
}

# A lock has each file's address on its author's index. If the inventory names an index, files come from there and are checked
# against the lock's hashes.
build_locked() {
    # The lock of a project above, of which the app's folder is only a part.
    if [ ! -e pyproject.toml ]; then cd "$(dirname "$file")" && file=uv.lock; fi
    # shellcheck disable=SC2046 # the flags are words
    set -- --frozen --no-editable --python "$python" $(flags --extra "$extras") $(flags --group "$groups")
    case " $groups " in *' dev '*) ;; *) set -- "$@" --no-dev ;; esac
    if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        "$uv" sync "$@"
    else
        "$uv" export --quiet "$@" --output-file "$TMPDIR/locked"
        # The commit's own packages are exported with paths relative to the lock.
        cd "$(dirname "$file")" || exit
        "$uv" pip install --python "$venv" -r "$TMPDIR/locked"
    fi
}

# prefer WORD...: write $TMPDIR/preferred, constraints for what these words for uv require: the kept versions as far as they suit, and what
# goes with them. An older output of uv has what it prefers.
prefer() {
    : >"$TMPDIR/preferred"
    if [ ! -s "$kept" ]; then return 0; fi
    cp "$kept" "$TMPDIR/resolved.txt"
    "$uv" pip compile --quiet --python "$python" --no-header --no-annotate --strip-extras --output-file "$TMPDIR/resolved.txt" "$@" >/dev/null || return 0
    grep '^[A-Za-z0-9][A-Za-z0-9._-]*==' "$TMPDIR/resolved.txt" >"$TMPDIR/preferred" || true
}

# A list with hashes is a lock, to which constraints without them would be an error.
build_list() {
    : >"$TMPDIR/preferred"
    if ! grep -q -e --hash "$file"; then prefer "$file"; fi
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/preferred" -r "$file"
}

build_project() {
    # shellcheck disable=SC2046 # the flags are words
    set -- $(flags --group "$(for each in $groups; do printf '%s:%s ' "$file" "$each"; done)")
    # shellcheck disable=SC2046
    prefer "$file" $(flags --extra "$extras") "$@"
    set -- --python "$venv" --constraints "$TMPDIR/preferred" "$@"
    if grep -q '^\[build-system\]' "$file"; then
        "$uv" pip install "$@" "./$(dirname "$file")${extras:+[$(echo "$extras" | tr ' ' ,)]}"
    else
        # shellcheck disable=SC2046
        "$uv" pip install "$@" -r "$file" $(flags --extra "$extras")
    fi
}

# build_server REQUIREMENT...: install those that the app does not require itself. What it requires stays; if a pinned version
# conflicts with that, another version is taken.
build_server() {
    missing=
    for requirement; do
        name=${requirement%%==*}
        if ! "$uv" pip show --quiet --python "$venv" "${name%%\[*}" >/dev/null 2>&1; then missing="$missing $requirement"; fi
    done
    if [ -z "$missing" ]; then return 0; fi
    "$uv" pip freeze --python "$venv" | grep '==' >"$TMPDIR/asked" || true
    # shellcheck disable=SC2086 # the requirements are words
    "$uv" pip install --quiet --python "$venv" --constraints "$TMPDIR/asked" --constraints "$kept" $missing 2>/dev/null && return 0
    # shellcheck disable=SC2086
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $missing && return 0
    # shellcheck disable=SC2046,SC2086
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $(printf '%s\n' $missing | sed 's/==.*//')
}

# It has each file's own address, so it needs no index.
build_pylock() {
    # shellcheck disable=SC2046 # the flags are words
    "$uv" pip install --preview-features pylock --python "$venv" -r "$file" $(flags --extra "$extras") $(flags --group "$groups")
}

# exporting PACKAGES WORD...: a program that reads the lock of another tool, in an environment of its own, with pinned versions.
exporting() {
    printf '%s\n' "$exporters" >"$TMPDIR/exporters"
    packages=$1
    shift
    # From its home, no settings of the project for uv are found. It runs once or twice, so compiling it would take longer than it saves.
    # shellcheck disable=SC2086 # they are words
    UV_COMPILE_BYTECODE=0 UV_LINK_MODE=hardlink "$uv" tool run --quiet --directory "$HOME" --python "$python" --constraints "$TMPDIR/exporters" --from $packages "$@"
}

# build_exported FOLDER: install just what is in $TMPDIR/locked, and the project in FOLDER with it.
build_exported() {
    # The inventory's index takes the place of the lock's first one.
    if [ -n "${UV_DEFAULT_INDEX:-}" ]; then sed -i 's/^--index-url/--extra-index-url/' "$TMPDIR/locked"; fi
    cd "$1" || exit
    "$uv" pip install --no-deps --python "$venv" -r "$TMPDIR/locked"
    if [ "$itself" != yes ]; then return 0; fi
    # Poetry takes any project for a package that does not say package-mode = false, even where nothing in it is one.
    if ! "$uv" pip install --no-deps --python "$venv" . >"$TMPDIR/said" 2>&1; then
        cat "$TMPDIR/said"
        grep -q 'No file/folder found for package' "$TMPDIR/said"
    fi
}

# By markers alone, a Python that the lock is not for would get no packages, without an error.
build_poetry() {
    folder=$PWD/$(dirname "$file") packages='poetry --with poetry-plugin-export'
    wanted=$(awk '/^\[metadata\]/ { inside = 1 } inside && sub(/^python-versions = "/, "") { sub(/"$/, ""); print }' "$file")
    exporting "$packages" python -c '
import platform, sys
from poetry.core.constraints.version import Version, parse_constraint
file, wanted, own = *sys.argv[1:], platform.python_version()
if not parse_constraint(wanted or "*").allows(Version.parse(own)):
    sys.exit(f"error: {file} is for Python {wanted}, and this one is {own}: set the app'"'"'s python to a full version that it allows")
' "$file" "$wanted"
    # shellcheck disable=SC2046 # the flags are words
    exporting "$packages" poetry export --project "$folder" --no-interaction --output "$TMPDIR/locked" \
        $(flags --extras "$extras") $(flags --with "$groups")
    build_exported "$folder"
}

# PDM exports hashes for all packages or for none; those of a repository or of the commit have none.
build_pdm() {
    folder=$PWD/$(dirname "$file")
    export PDM_CHECK_UPDATE=0 PDM_IGNORE_SAVED_PYTHON=1
    if ! exporting pdm pdm lock --check --project "$folder" >"$TMPDIR/said" 2>&1; then
        cat "$TMPDIR/said"
        echo "error: it is older than pyproject.toml: run \`pdm lock\`, and commit the lock"
        exit 1
    fi
    awk 'function flush() { if (text !~ /^\[\[package\]\]/ || text ~ /\nfiles = \[/) printf "%s", text; text = "" }
        /^\[\[package\]\]/ { flush() }
        { text = text $0 "\n" }
        END { flush() }' "$file" >"$folder/.hashed.lock"
    # shellcheck disable=SC2046 # the flags are words
    set -- --project "$folder" $(flags --group "$extras $groups")
    if [ -z "$groups" ]; then set -- "$@" --prod; fi
    exporting pdm pdm export "$@" --lockfile "$folder/.hashed.lock" --output "$TMPDIR/locked"
    exporting pdm pdm export "$@" --lockfile "$PWD/$file" --no-hashes --output "$TMPDIR/all"
    grep -E '^-e |^[^#]* @ ' "$TMPDIR/all" >>"$TMPDIR/locked" || true
    build_exported "$folder"
}

"$uv" venv --quiet --allow-existing --python "$python" "$venv"
case $file in
*uv.lock) build_locked ;;
*poetry.lock) build_poetry ;;
*pdm.lock) build_pdm ;;
*pyproject.toml) build_project ;;
*.toml) build_pylock ;;
*) build_list ;;
esac
build_server "$@"
