# shellcheck shell=sh disable=SC2154
# Whether the app allows the Python that it is to run with.

# python_check: refuse a Python that the app's pyproject.toml does not allow, as uv reads it; nothing else in that file counts.
# Reads app, source (the app's folder), file (the requirements), python and uv (programs).
python_check() {
    project=pyproject.toml
    case $file in *pyproject.toml) project=$file ;; esac
    if [ ! -e "$source/$project" ]; then return 0; fi
    wanted=$(python_check_required "$source/$project")
    if [ -z "$wanted" ]; then return 0; fi
    asked=$(mktemp -d "$provision_runtime/python.XXXXXX")
    printf '[project]\nname = "app"\nversion = "0"\nrequires-python = "%s"\n' "$wanted" >"$asked/pyproject.toml"
    said=$("$uv" lock --quiet --directory "$asked" --python "$python" --no-python-downloads \
        --no-config --no-cache --offline --dry-run 2>&1 || true)
    rm -rf "$asked"
    case $said in
    *'incompatible with the project'*) fail "$app: $project wants Python $wanted (requires-python), and $(python_check_whose): set the app's python to a full version that it allows" ;;
    esac
}

# python_check_required FILE: requires-python under [project] in a pyproject.toml.
python_check_required() {
    requirements_read "$1" | awk '
        /^[[:space:]]*\[/ { inside = /^[[:space:]]*\[project\]/ }
        inside && sub(/^[[:space:]]*requires-python[[:space:]]*=[[:space:]]*/, "") {
            split($0, part, substr($0, 1, 1))
            print part[2]
            exit
        }'
}

# python_check_whose: whose Python it is, and its version.
python_check_whose() {
    version=$("$python" -I -c 'import platform; print(platform.python_version())')
    case $python in
    /usr/*)
        # shellcheck source=/dev/null
        (. /etc/os-release && printf "%s %s's is %s\n" "$ID" "$VERSION_ID" "$version")
        ;;
    *) printf "the inventory's is %s\n" "$version" ;;
    esac
}
