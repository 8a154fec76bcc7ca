# shellcheck shell=sh
# The build of a virtual environment. It runs by itself, as the app's builder, in a box:
# sh -eu build.sh UV PYTHON VENV SOURCE FILE SERVER_REQUIREMENT... </dev/null
uv=$1 python=$2 venv=$3 file=$5
cd "$4" || exit
shift 5

# A lock has each file's address on its author's index. If the inventory names an index, files come from there and are checked
# against the lock's hashes.
build_locked() {
    # The lock of a project above, of which the app's folder is only a part.
    if [ ! -e pyproject.toml ]; then cd "$(dirname "$file")" && file=uv.lock; fi
    if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        "$uv" sync --frozen --no-dev --no-editable --python "$python"
    else
        "$uv" export --quiet --frozen --no-dev --no-editable --python "$python" --output-file "$TMPDIR/locked"
        # The commit's own packages are exported with paths relative to the lock.
        cd "$(dirname "$file")" || exit
        "$uv" pip install --python "$venv" -r "$TMPDIR/locked"
    fi
}

build_project() {
    if grep -q '^\[build-system\]' "$file"; then
        "$uv" pip install --python "$venv" "./$(dirname "$file")"
    else
        "$uv" pip install --python "$venv" -r "$file"
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
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $missing && return 0
    # shellcheck disable=SC2046,SC2086
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $(printf '%s\n' $missing | sed 's/==.*//')
}

"$uv" venv --quiet --allow-existing --python "$python" "$venv"
case $file in
*uv.lock) build_locked ;;
*pyproject.toml) build_project ;;
*) "$uv" pip install --python "$venv" -r "$file" ;;
esac
build_server "$@"
