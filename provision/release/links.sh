# shellcheck shell=sh disable=SC2154
# Folders of the app in a release that are links into its shared folder. LINKS are their paths in the app's folder, with a colon between each two;
# the release's stamp has them as its third word. Root makes the links, in a tree that is its own; what they lead to is the app's to make.

# links_are_right FOLDER LINKS: whether each is a link to where it should lead. Reads app_shared.
links_are_right() (
    set -f
    IFS=:
    for link in $2; do [ "$(readlink "$1/$link")" = "$app_shared/$link" ] || exit 1; done
)

# links_make TREE FOLDER LINKS: make them in a tree that only root can write to. Reads app and app_shared.
links_make() {
    printf '%s\n' "$3" | tr : '\n' | while IFS= read -r link; do
        if [ -z "$link" ]; then continue; fi
        at=$1/$2/$link
        (artifacts_above "$1/$2" "$link" make shared) || exit 1
        if [ -d "$at" ] && [ ! -L "$at" ]; then
            rm -f "$at/.gitkeep" "$at/.gitignore" 2>/dev/null || true
            rmdir "$at" 2>/dev/null || true
        fi
        if [ -e "$at" ] || [ -L "$at" ]; then fail "$app: the commit has files in $link, which is a link into shared/ (shared): remove them from the repository"; fi
        ln -s "$app_shared/$link" "$at"
    done || exit 1
}

# links_listed TREE FOLDER: the paths of the links from the top of a release, as tar names them.
links_listed() {
    links=''
    if [ -r "$1/.release" ]; then IFS='	' read -r _ _ links <"$1/.release" || true; fi
    case $2 in .) above=. ;; *) above=./$2 ;; esac
    printf '%s' "$links" | tr : '\n' | sed "s|^|$above/|"
}

# links_lead APP RELEASE: the app's user makes the folders that its release's links lead to, where there are none.
links_lead() {
    layout_app "$1"
    layout_release "$1" "$2"
    links=''
    if [ -r "$release_stamp" ]; then IFS='	' read -r _ _ links <"$release_stamp" || true; fi
    if [ -z "$links" ]; then return 0; fi
    # shellcheck disable=SC2016 # they are the command's
    command_told sandbox_run "$(sandbox_of "$1" "$app_sandbox")" --unit="$(command_unit "$1")" \
        sh -c 'set -f; IFS=:; for link in $1; do mkdir -p -- "$0/$link" || exit; done' "$app_shared" "$links" </dev/null ||
        fail "$1: a folder of apps.$1.shared cannot be made: $(printf '%s\n' "$told" | tail -n 1 | tr -c '[:print:]\n' '?' | cut -c 1-300)"
}
