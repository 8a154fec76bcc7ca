# shellcheck shell=sh disable=SC2154
python_pyenv=$root/opt/pyenv

# Out: name, in a record for each complete Python.
python_built_facts() {
    for stamp in "$python_pyenv"/versions/*/.provision; do
        if [ -e "$stamp" ]; then
            stamp=${stamp%/.provision}
            printf 'python\tname=%s\n' "${stamp##*/}"
        fi
    done
}

# Out: name, in a record for each packed Python that waits to be fetched.
python_packed_facts() {
    for packed in "$provision_outbox"/*.tar.gz; do
        if [ -e "$packed.about" ]; then
            packed=${packed##*/}
            printf 'packed\tname=%s\n' "${packed%.tar.gz}"
        fi
    done
}

# In: NUMBER REVISION. Out: state (unmodified or modified), if that release is there.
python_probe_pyenv() {
    while IFS='	' read -r number revision; do
        if [ -r "$python_pyenv/.revision" ] && IFS='	' read -r found commit <"$python_pyenv/.revision" && [ "$found" = "$revision" ]; then
            if [ "$(git -C "$python_pyenv" rev-parse HEAD 2>/dev/null)" = "$commit" ] && git -C "$python_pyenv" diff --quiet HEAD --; then
                printf '%s\tstate=unmodified\n' "$number"
            else
                printf '%s\tstate=modified\n' "$number"
            fi
        fi
    done
}

python_definitions=$python_pyenv/plugins/python-build/share/python-build

# In: NUMBER PREFIX VERSION. Out: state=built, if the Python is complete; state=unknown and newest (the newest of its series that
# the server's pyenv can build), if pyenv does not know it.
python_probe() {
    while IFS='	' read -r number prefix version; do
        prefix=$root$prefix
        if [ -e "$prefix/.provision" ] && [ -x "$prefix/bin/python" ] && [ -e "$prefix/lib" ]; then
            printf '%s\tstate=built\n' "$number"
        elif [ -d "$python_definitions" ] && [ ! -e "$python_definitions/$version" ]; then
            printf '%s\tstate=unknown\tnewest=%s\n' "$number" "$(python_newest "${version%.*}")"
        fi
    done
}

# python_newest SERIES
python_newest() { find "$python_definitions" -maxdepth 1 -name "$1.[0-9]*" -printf '%f\n' | grep -E '^[0-9.]+$' | sort -V | tail -n 1; }

# python_install_pyenv REPOSITORY REVISION: the stamp is written last.
python_install_pyenv() {
    umask 022
    rm -f "$python_pyenv/.revision"
    mkdir -p "$python_pyenv"
    git init --quiet "$python_pyenv"
    git -C "$python_pyenv" fetch --quiet --depth 1 "$1" "$2" || fail "the server cannot fetch pyenv $2 from $1: mirrors.pyenv names another place"
    git -C "$python_pyenv" checkout --quiet --force FETCH_HEAD
    printf '/versions/\n/shims/\n/.revision\n' >"$python_pyenv/.git/info/exclude"
    printf '%s\t%s\n' "$2" "$(git -C "$python_pyenv" rev-parse HEAD)" | put "$python_pyenv/.revision" root root 644
}

# python_why_not_built WORK MIRROR: the reason, from python-build's log. If the mirror fails, it asks python.org too.
python_why_not_built() {
    wrong=$(sed -n 's/^expected \([0-9a-f]*\), got \([0-9a-f]*\)$/\1 \2/p' "$1"/*.log | head -n 1)
    missing=$(grep -h '^curl: ' "$1"/*.log | tail -n 1)
    if [ -n "$wrong" ]; then
        echo "the source archive ${2:+$2/}${wrong% *} has a wrong checksum, ${wrong#* }: put the right one there, or name another place with mirrors.python"
    elif [ -n "$missing" ]; then
        echo "its source cannot be fetched from ${2:+$2 or }python.org ($missing): mirrors.python names another place"
    else
        echo "its log's last lines stand above"
    fi
}

# python_build PREFIX VERSION CONFIGURE_OPTIONS MIRROR PACKED LOGIN
python_build() {
    umask 022
    if [ ! -e "$python_definitions/$2" ]; then
        series=${2%.*} newest=$(python_newest "${2%.*}")
        fail "pyenv does not know Python $2: ${newest:+the newest $series that it knows is $newest; }write a version that it knows, or name a newer pyenv with mirrors.pyenv_revision"
    fi
    rm -rf "$1"
    work=$(mktemp -d /var/tmp/provision-build.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    if [ -n "$4" ]; then export PYTHON_BUILD_MIRROR_URL="$4"; fi
    # An optimized build is profiled with CPython's own tests; a failing one does no harm.
    export PROFILE_TASK='-m test --pgo --timeout=1200 || true'
    TMPDIR=$work PYTHON_CONFIGURE_OPTS="$3" MAKE_OPTS="-j$(nproc)" \
        "$python_pyenv/plugins/python-build/bin/python-build" "$2" "$1" || {
        find "$work" -name '*.log' -exec tail -n 30 {} +
        fail "Python $2 was not built: $(python_why_not_built "$work" "$4")"
    }
    "$1/bin/python" -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib' || fail "Python $2 was built without a module that it needs"
    printf '%s %s\n' "$2" "$3" >"$work/stamp"
    put "$1/.provision" root root 644 <"$work/stamp"
    if [ -n "$5" ]; then python_pack "$1" "$5" "$6"; fi
}

# python_pack PREFIX PACKED LOGIN: write the archive, and beside it its checksum, its size and the packages of its libraries.
python_pack() {
    mkdir -p "${2%/*}"
    tar -C "${1%/*}" --exclude='*/lib/python*/test' --exclude='*/tests' --exclude='*/idlelib' --exclude='*.a' -czf "$2" "${1##*/}"
    {
        printf '%s %s\n' "$(sha256sum "$2" | cut -d' ' -f1)" "$(stat -c %s "$2")"
        find "$1" -type f \( -name '*.so' -o -path '*/bin/python3*' \) -exec ldd {} + 2>/dev/null |
            awk '$2 == "=>" { n = split($3, part, "/"); print "*/" part[n] }' | sort -u |
            xargs -r dpkg -S 2>/dev/null | grep -v '^\(local \)\{0,1\}diversion ' | cut -d: -f1 | sort -u
    } >"$2.about"
    chown "$3" "${2%/*}" "$2" "$2.about"
}

# python_place PREFIX PACKED SHA256
python_place() {
    umask 022
    beside=${1%/*}/.new-${1##*/}
    rm -rf "$beside"
    mkdir -p "$beside"
    sent=$2
    trap 'rm -rf "$beside" "$sent"' EXIT
    cp "$2" "$beside/packed"
    printf '%s  %s\n' "$3" "$beside/packed" | sha256sum --quiet --check - || fail "what arrived is not what the controller sent: run again"
    tar -C "$beside" --no-same-owner -xzf "$beside/packed"
    rm -rf "$1"
    mv -T "$beside/${1##*/}" "$1"
    "$1/bin/python" -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib' ||
        fail "the cached Python does not run here: deploy once with cache: false"
}
