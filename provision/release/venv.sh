# shellcheck shell=sh

# In: NUMBER PATH. Out: NUMBER, where uv is installed.
probe_uv() {
    while IFS='	' read -r number path; do
        if [ -x "$path/bin/uv" ]; then printf '%s\n' "$number"; fi
    done
}

# install_uv PATH VERSION PYTHON INDEX
install_uv() {
    umask 022
    beside=${1%/*}/.new-$2 python=$3/bin/python3
    installer=$(mktemp -d /var/tmp/provision-uv.XXXXXX)
    trap 'rm -rf "$installer"' EXIT
    rm -rf "$beside"
    mkdir -p "${1%/*}"
    # Of the distribution's Python, only a venv has a pip for sure; an old pip does not know each option.
    if [ "$3" = /usr ]; then
        "$python" -m venv "$installer"
        python=$installer/bin/python3
    fi
    export PIP_ROOT_USER_ACTION=ignore
    if [ -n "$4" ]; then export PIP_INDEX_URL="$4"; fi
    # pip wants to be told that an index is to be asked without TLS; uv takes the address for the answer.
    case $4 in
    http://*)
        host=${4#http://} host=${host%%/*}
        export PIP_TRUSTED_HOST="${host##*@}"
        ;;
    esac
    if ! "$python" -m pip install --quiet --no-input --no-compile --disable-pip-version-check --target "$beside" "uv==$2"; then
        # pip says that there is no such package, whatever the index answered.
        status=$(printf 'url = "%s"\n' "${4%/}/uv/" | curl -sL -m 20 -o /dev/null -w '%{http_code}' -K - || true)
        case $status in 401 | 403) fail "uv $2 cannot be installed: $(denied "$status")" ;; esac
        fail "uv $2 cannot be installed: does the server reach its package index?"
    fi
    mv -T "$beside" "$1"
}

# denied STATUS
denied() { echo "the package index answered $1: correct the user and password in mirrors.index"; }

# requirements_of FOLDER REQUIREMENTS: the file that says what is installed.
requirements_of() {
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

# Prints a requirements file and, in turn, the files that it includes.
# flatten FILE [DEPTH]: what includes itself comes to an end.
flatten() {
    cat "$1"
    tr -d '\r' <"$1" | sed -n 's/^[[:space:]]*\(-r\|--requirement\|-c\|--constraint\)[= ]*//p' |
        while read -r included _ || [ -n "$included" ]; do
            if [ "${2:-0}" -lt 8 ] && [ -e "${1%/*}/$included" ]; then flatten "${1%/*}/$included" $((${2:-0} + 1)); fi
        done
}

# An installed project's own code is part of its environment; a list of requirements is the same for many commits.
# The distribution's python3 leads to another program, python3.13, once the distribution is upgraded.
# venv_key RELEASE FOLDER REQUIREMENTS BASE
venv_key() {
    file=$(requirements_of "$1/$2" "$3")
    {
        printf '%s\n%s\n' "$4" "$file"
        case $4 in '/usr '*) readlink -f /usr/bin/python3 ;; esac || true
        case $file in
        *.txt)
            flatten "$1/$2/$file"
            if flatten "$1/$2/$file" | grep -qE '^[[:space:]]*(-e|--editable|\.|/)'; then cat "$1/.release"; fi
            ;;
        *)
            cat "$1/$2/pyproject.toml" "$1/$2/$file"
            if grep -qs '^\[build-system\]' "$1/$2/pyproject.toml"; then cat "$1/.release"; fi
            ;;
        esac
    } 2>/dev/null | sha256sum | cut -c1-16
}

# venv_is_whole VENV: it was built to its end, its Python is there, and nothing in it is younger than its stamp: pip and
# hands change files and folders. What Python writes by itself when root runs it does not count.
venv_is_whole() {
    [ -e "$1/.complete" ] && [ -x "$1/bin/python" ] &&
        [ -z "$(find "$1/bin" "$1/lib" "$1/pyvenv.cfg" -name __pycache__ -prune -o -newer "$1/.complete" -print -quit 2>&1)" ]
}

# In: NUMBER RELEASE FOLDER REQUIREMENTS BASE. Out: NUMBER right|wrong|other, where the release has an environment.
probe_venvs() {
    while IFS='	' read -r number release folder requirements base; do
        if [ -e "$release/.venv" ]; then
            venv=$(readlink -f "$release/.venv")
            state=wrong
            if [ "${venv##*/}" != "$(venv_key "$release" "$folder" "$requirements" "$base")" ]; then
                state=other
            elif venv_is_whole "$venv"; then
                state=right
            fi
            printf '%s\t%s\n' "$number" "$state"
        fi
    done
}

# install_venv APP RELEASE FOLDER REQUIREMENTS BASE PYTHON UV INDEX SERVER_REQUIREMENT...
# The app's user builds, for a build runs the packages' code; then everything becomes root's.
install_venv() {
    umask 022
    app=$1 release=$2 source=$2/$3 uv=$7 index=$8 work='' venv=''
    trap clean EXIT
    if [ ! -d "$source" ]; then fail "$app: the commit has no folder $3"; fi
    file=$(requirements_of "$source" "$4")
    if [ -z "$file" ]; then fail "$app: $3 has no uv.lock, requirements.txt or pyproject.toml with [project]: requirements names another file"; fi
    if [ ! -e "$source/$file" ]; then fail "$app: the commit has no $3/$file (requirements)"; fi
    # python3.11 stays for a time where an upgrade of the distribution brings python3.13.
    python=$(readlink -f "$6/bin/python3")
    check_python
    key=$(venv_key "$2" "$3" "$4" "$5")
    shift 8
    venv=/srv/$app/venvs/$key
    if ! venv_is_whole "$venv"; then build_venv "$@"; fi
    point "$release/.venv" "../../venvs/$key"
    # The stamp is the youngest file of a release that nobody touched.
    touch "$release/.release"
}

# Nothing that is half done stays: not the environment, and not a release that never had one.
clean() {
    if [ -n "$work" ]; then rm -rf "$work"; fi
    if [ -n "$venv" ] && [ ! -e "$venv/.complete" ]; then rm -rf "$venv"; fi
    if [ ! -L "$release/.venv" ] && [ "$(readlink -f "/srv/$app/current")" != "$release" ]; then rm -rf "$release"; fi
}

# check_python: the Python is one that the app's pyproject.toml allows, as uv reads it. Nothing else of that file counts here.
check_python() {
    project=pyproject.toml
    case $file in *pyproject.toml) project=$file ;; esac
    if [ ! -e "$source/$project" ]; then return 0; fi
    wanted=$(required_python "$source/$project")
    if [ -z "$wanted" ]; then return 0; fi
    asked=$(mktemp -d /run/provision/python.XXXXXX)
    printf '[project]\nname = "app"\nversion = "0"\nrequires-python = "%s"\n' "$wanted" >"$asked/pyproject.toml"
    said=$("$uv/bin/uv" lock --quiet --directory "$asked" --python "$python" --no-python-downloads \
        --no-config --no-cache --offline --dry-run 2>&1 || true)
    rm -rf "$asked"
    case $said in
    *'incompatible with the project'*) fail "$app: $project wants Python $wanted (requires-python), and $(whose_python): write a full version that it allows, as in python: '3.13.5'" ;;
    esac
}

# required_python FILE: what [project] of a pyproject.toml has as requires-python.
required_python() {
    awk '
        /^[[:space:]]*\[/ { inside = /^[[:space:]]*\[project\]/ }
        inside && sub(/^[[:space:]]*requires-python[[:space:]]*=[[:space:]]*/, "") {
            split($0, part, substr($0, 1, 1))
            print part[2]
            exit
        }' "$1"
}

# whose_python: where the Python comes from, and its version.
whose_python() {
    version=$("$python" -c 'import platform; print(platform.python_version())')
    case $python in
    /usr/*)
        # shellcheck source=/dev/null
        (. /etc/os-release && printf "%s %s's is %s\n" "$ID" "$VERSION_ID" "$version")
        ;;
    *) printf "the inventory's is %s\n" "$version" ;;
    esac
}

# build_venv SERVER_REQUIREMENT...
build_venv() {
    work=$(mktemp -d /var/tmp/provision-venv.XXXXXX) || fail "$app: no space left for the venv: $(room /var/tmp)"
    rm -rf "$venv"
    mkdir -p "$venv" "/var/cache/provision/uv-$app"
    chown "$app:" "$venv" "/var/cache/provision/uv-$app"
    cp -a "$source" "$work/source"
    chown -R "$app:" "$work"
    if ! as_builder "$@" >"$work/output" 2>&1; then
        cat "$work/output"
        if grep -q 'os error 28\|No space left' "$work/output"; then fail "$app: no space left for the venv: $(room "$venv" "$work")"; fi
        # Of an index that refuses a password uv says that the packages are not there.
        status=$(sed -n 's/.*lack of valid authentication credentials (\([^)]*\)).*/\1/p' "$work/output" | head -n 1)
        if [ -n "$status" ]; then fail "$app: $file cannot be installed: $(denied "$status")"; fi
        fail "$app: $file cannot be installed: $(reason <"$work/output" | sed "s|$work/source/||g")"
    fi
    cat "$work/output"
    chown -R root:root "$venv"
    # uv leaves a .lock that all may write.
    chmod -R go-w "$venv"
    # The stamp is the youngest file of an environment that nobody touched.
    printf '%s\n' "$file" | put "$venv/.complete" root root 644
}

# room PATH...: what is free on their filesystems.
room() {
    df -h --output=avail,target "$@" | sed 1d | awk '!($2 in seen) { printf "%s%s free on %s", sep, $1, $2; sep = ", "; seen[$2] }'
    echo "; make room there, or keep fewer releases (keep_releases)"
}

# What uv says is wrong, on one line: its error, the causes, and the exception that ended a build.
reason() {
    awk '
        { sub(/^ +/, ""); last = $0 ? $0 : last }
        /^error: / { said = substr($0, 8); quiet = 0; next }
        !said || /^hint: / { next }
        /^$/ { quiet = 1 }
        quiet { if ($1 ~ /(Error|Exception|Exit):$/) ended = ": " $0; next }
        /^cause: / { said = said ": " substr($0, 8); next }
        { said = said " " $0 }
        END { print substr((said ? said : last) ended, 1, 500) }'
}

as_builder() {
    export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=1 UV_NO_CONFIG=0 NO_COLOR=1
    export UV_CACHE_DIR="/var/cache/provision/uv-$app" UV_PROJECT_ENVIRONMENT="$venv" VIRTUAL_ENV="$venv" UV_COMPILE_BYTECODE=1
    export HOME="$work" TMPDIR="$work"
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
    setpriv --reuid="$app" --regid="$app" --clear-groups sh -eu -s "$uv/bin/uv" "$python" "$venv" "$work/source" "$file" "$@" <<'END_OF_BUILD'
uv=$1 python=$2 venv=$3 file=$5
cd "$4"
shift 5
"$uv" venv --quiet --allow-existing --python "$python" "$venv"
case $file in
*uv.lock)
    if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        "$uv" sync --frozen --no-dev --no-editable --python "$python"
    else
        # A lock names the place of each file as its author had it. Here they come from the inventory's index, with the lock's hashes.
        "$uv" export --quiet --frozen --no-dev --no-editable --no-emit-project --python "$python" --output-file "$TMPDIR/locked"
        "$uv" pip install --python "$venv" -r "$TMPDIR/locked"
        if grep -q '^\[build-system\]' pyproject.toml; then "$uv" pip install --python "$venv" --no-deps .; fi
    fi
    ;;
*pyproject.toml)
    if grep -q '^\[build-system\]' "$file"; then
        "$uv" pip install --python "$venv" "./$(dirname "$file")"
    else
        "$uv" pip install --python "$venv" -r "$file"
    fi
    ;;
*) "$uv" pip install --python "$venv" -r "$file" ;;
esac
missing=
for requirement; do
    name=${requirement%%==*}
    if ! "$uv" pip show --quiet --python "$venv" "${name%%\[*}" >/dev/null 2>&1; then missing="$missing $requirement"; fi
done
if [ -n "$missing" ]; then
    # What the app asked for stays: where the pinned server does not go with it, one that does is taken.
    "$uv" pip freeze --python "$venv" | grep == >"$TMPDIR/asked" || true
    "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $missing ||
        "$uv" pip install --python "$venv" --constraints "$TMPDIR/asked" $(printf '%s\n' $missing | sed 's/==.*//')
fi
END_OF_BUILD
}
