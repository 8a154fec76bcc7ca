# shellcheck shell=sh
# Pinned programs that come as packages from the Python index.

# tool_install NAME PACKAGE==VERSION FOLDER PYTHON INDEX SHA256...: PYTHON/bin/python3 installs a wheel with one of these checksums in the
# folder; NAME is what an error calls it. Sets beside, which is the folder until tool_done.
tool_install() {
    umask 022
    name=$1 package=$2 index=$5 python=$4/bin/python3 beside=${3%/*}/.new-${3##*/}
    installer=$(mktemp -d /var/tmp/provision-tool.XXXXXX)
    trap 'rm -rf "$installer" "$beside"' EXIT
    rm -rf "$beside"
    mkdir -p "${3%/*}"
    # The distribution's Python is sure to have a pip only in a venv, and an old pip does not know every option.
    if [ "$4" = /usr ]; then
        "$python" -I -m venv "$installer"
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
    shift 5
    { printf '%s' "$package" && printf ' --hash=sha256:%s' "$@"; } >"$installer/requirements.txt"
    if ! "$python" -I -m pip install --quiet --no-input --no-compile --no-deps --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        --target "$beside" -r "$installer/requirements.txt" >"$installer/said" 2>&1; then
        cat "$installer/said"
        if grep -q 'DO NOT MATCH THE HASHES' "$installer/said"; then fail "$name cannot be installed: the package index has another file for this server than its authors published (its checksum differs)"; fi
        # Whatever the index answered, pip says that there is no such package.
        status=$(printf 'url = "%s"\n' "${index%/}/${package%%==*}/" | curl -sL -m 20 -o /dev/null -w '%{http_code}' -K - || true)
        case $status in 401 | 403) fail "$name cannot be installed: $(tool_denied "$status")" ;; esac
        fail "$name cannot be installed: does the server reach its package index?"
    fi
}

# tool_done FOLDER: what is beside it takes its place.
tool_done() {
    sync -f "$beside"
    mv -T "$beside" "$1"
}

# tool_denied STATUS: what to say if the package index refuses the password.
tool_denied() { echo "the package index answered $1: correct the user and password in mirrors.index"; }
