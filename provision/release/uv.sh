# shellcheck shell=sh disable=SC2154
# uv, the pinned installer of packages.

# In: NUMBER VERSION. Out: uv (installed), where it is.
uv_probe() {
    while IFS='	' read -r number version; do
        layout_tools "$version"
        if [ -x "$tools_uv/bin/uv" ]; then printf '%s\tuv=installed\n' "$number"; fi
    done
}

# uv_install VERSION PYTHON INDEX SHA256...: PYTHON/bin/python3 installs a wheel with one of these checksums.
uv_install() {
    umask 022
    layout_tools "$1"
    version=$1 index=$3 beside=${tools_uv%/*}/.new-$1 python=$2/bin/python3
    installer=$(mktemp -d /var/tmp/provision-uv.XXXXXX)
    trap 'rm -rf "$installer"' EXIT
    rm -rf "$beside"
    mkdir -p "${tools_uv%/*}"
    # The distribution's Python is sure to have a pip only in a venv, and an old pip does not know every option.
    if [ "$2" = /usr ]; then
        "$python" -m venv "$installer"
        python=$installer/bin/python3
    fi
    export PIP_ROOT_USER_ACTION=ignore
    if [ -n "$index" ]; then export PIP_INDEX_URL="$index"; fi
    # pip must be told to ask an index without TLS; uv infers it from the address.
    case $index in
    http://*)
        host=${index#http://} host=${host%%/*}
        export PIP_TRUSTED_HOST="${host##*@}"
        ;;
    esac
    shift 3
    { printf '%s' "uv==$version" && printf ' --hash=sha256:%s' "$@"; } >"$installer/requirements.txt"
    if ! "$python" -m pip install --quiet --no-input --no-compile --disable-pip-version-check --require-hashes --only-binary :all: \
        --target "$beside" -r "$installer/requirements.txt" >"$installer/said" 2>&1; then
        cat "$installer/said"
        if grep -q 'DO NOT MATCH THE HASHES' "$installer/said"; then fail "uv $version cannot be installed: the package index has another file for this server than uv's authors published (its checksum differs)"; fi
        # Whatever the index answered, pip says that there is no such package.
        status=$(printf 'url = "%s"\n' "${index%/}/uv/" | curl -sL -m 20 -o /dev/null -w '%{http_code}' -K - || true)
        case $status in 401 | 403) fail "uv $version cannot be installed: $(uv_denied "$status")" ;; esac
        fail "uv $version cannot be installed: does the server reach its package index?"
    fi
    mv -T "$beside" "$tools_uv"
}

# uv_denied STATUS: what to say if the package index refuses the password.
uv_denied() { echo "the package index answered $1: correct the user and password in mirrors.index"; }
