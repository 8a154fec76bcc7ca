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
    repository=$1 revision=$2
    umask 022
    rm -f "$python_pyenv/.revision"
    mkdir -p "$python_pyenv"
    git init --quiet "$python_pyenv"
    git -C "$python_pyenv" fetch --quiet --depth 1 "$repository" "$revision" || fail "the server cannot fetch pyenv $revision from $repository: mirrors.pyenv names another place"
    git -C "$python_pyenv" checkout --quiet --force FETCH_HEAD
    printf '/versions/\n/shims/\n/.revision\n' >"$python_pyenv/.git/info/exclude"
    printf '%s\t%s\n' "$revision" "$(git -C "$python_pyenv" rev-parse HEAD)" | put "$python_pyenv/.revision" root root 644
}

# python_why_not_built WORK MIRROR: the reason, from python-build's log. If the mirror fails, it asks python.org too.
python_why_not_built() {
    folder=$1 mirror=$2
    wrong=$(sed -n 's/^expected \([0-9a-f]*\), got \([0-9a-f]*\)$/\1 \2/p' "$folder"/*.log | head -n 1)
    missing=$(grep -h '^curl: ' "$folder"/*.log | tail -n 1)
    if [ -n "$wrong" ]; then
        echo "the source archive ${mirror:+$mirror/}${wrong% *} has a wrong checksum, ${wrong#* }: put the right one there, or name another place with mirrors.python"
    elif [ -n "$missing" ]; then
        echo "its source cannot be fetched from ${mirror:+$mirror or }python.org ($missing): mirrors.python names another place"
    else
        echo "its log's last lines stand above"
    fi
}

# python_build PREFIX VERSION CONFIGURE_OPTIONS MIRROR PACKED LOGIN
python_build() {
    prefix=$1 version=$2 options=$3 mirror=$4 packed=$5 login=$6
    umask 022
    if [ ! -e "$python_definitions/$version" ]; then
        series=${version%.*} newest=$(python_newest "${version%.*}")
        fail "pyenv does not know Python $version: ${newest:+the newest $series that it knows is $newest; }write a version that it knows, or name a newer pyenv with mirrors.pyenv_revision"
    fi
    rm -rf "$prefix"
    work=$(mktemp -d /var/tmp/provision-build.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    if [ -n "$mirror" ]; then export PYTHON_BUILD_MIRROR_URL="$mirror"; fi
    # An optimized build is profiled with CPython's own tests; a failing one does no harm.
    export PROFILE_TASK='-m test --pgo --timeout=1200 || true'
    # It takes half the time of -O3 with debugging symbols, which nothing here uses, and is as fast within a tenth.
    case $options in *--enable-optimizations*) ;; *) export CFLAGS="-O2 -g0" ;; esac
    TMPDIR=$work PYTHON_CONFIGURE_OPTS="$options" MAKE_OPTS="-j$(nproc)" \
        "$python_pyenv/plugins/python-build/bin/python-build" "$version" "$prefix" || {
        find "$work" -name '*.log' -exec tail -n 30 {} +
        fail "Python $version was not built: $(python_why_not_built "$work" "$mirror")"
    }
    "$prefix/bin/python" -I -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib' || fail "Python $version was built without a module that it needs"
    printf '%s %s\n' "$version" "$options" >"$work/stamp"
    put "$prefix/.provision" root root 644 <"$work/stamp"
    if [ -n "$packed" ]; then python_pack "$prefix" "$packed" "$login"; fi
}

# python_pack PREFIX PACKED LOGIN: write the archive, and beside it the packages of its libraries. What a run left a day ago goes.
python_pack() {
    prefix=$1 packed=$2 login=$3
    mkdir -p "${packed%/*}"
    find "${packed%/*}" -maxdepth 1 -type f -mtime +0 -delete
    tar -C "${prefix%/*}" --exclude='*/lib/python*/test' --exclude='*/tests' --exclude='*/idlelib' --exclude='*.a' -czf "$packed" "${prefix##*/}"
    {
        find "$prefix" -type f \( -name '*.so' -o -path '*/bin/python3*' \) -exec ldd {} + 2>/dev/null |
            awk '$2 == "=>" { n = split($3, part, "/"); print "*/" part[n] }' | sort -u |
            xargs -r dpkg -S 2>/dev/null | grep -v '^\(local \)\{0,1\}diversion ' | cut -d: -f1 | sort -u
    } >"$packed.about"
    chown "$login" "${packed%/*}" "$packed" "$packed.about"
}

# python_place PREFIX PACKED SHA256
python_place() {
    prefix=$1 packed=$2 sha256=$3
    umask 022
    beside=${prefix%/*}/.new-${prefix##*/}
    rm -rf "$beside"
    mkdir -p "$beside"
    trap 'rm -rf "$beside" "$packed"' EXIT
    cp "$packed" "$beside/packed"
    printf '%s  %s\n' "$sha256" "$beside/packed" | sha256sum --quiet --check - || fail "what arrived is not what the controller sent: run again"
    tar -C "$beside" --no-same-owner -xzf "$beside/packed"
    rm -rf "$prefix"
    mv -T "$beside/${prefix##*/}" "$prefix"
    "$prefix/bin/python" -I -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib' ||
        fail "the cached Python does not run here: deploy once with cache: false"
}
