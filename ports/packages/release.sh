#!/bin/sh
# Commits each tree of `make package` to a branch of its own, platformio, arduino, esp-idf, zephyr
# and npm, so that it can be installed from git. A tree without a change makes no commit. The work
# tree, the index and HEAD stay as they are, and nothing is pushed.
# Usage: URL=https://... sh ports/packages/release.sh    the address that the packages name
set -eu
cd "$(dirname "$0")/../.."
out="$PWD/build/package"
names='platformio arduino esp-idf zephyr npm'
fail() {
    echo "release: $*" >&2
    exit 1
}
[ -n "${URL:-}" ] || fail 'URL= is the address of the repository'
git diff --quiet HEAD -- rtpush.h ports examples LICENSE || fail 'commit the changes first'
for name in $names; do
    ! git worktree list --porcelain | grep -qx "branch refs/heads/$name" ||
        fail "the branch $name is checked out"
done
# shellcheck disable=SC2086 # names split
sh ports/packages/make.sh "$out" $names >/dev/null
what="rtpush $(sh ports/packages/version.sh), made from $(git rev-parse --short HEAD)"
GIT_DIR="$(git rev-parse --absolute-git-dir)"
GIT_INDEX_FILE="$out/index"
export GIT_DIR GIT_INDEX_FILE
for name in $names; do
    rm -f "$GIT_INDEX_FILE"
    (cd "$out/$name" && git --work-tree=. add --all --force .)
    tree="$(git write-tree)"
    parent="$(git rev-parse --quiet --verify "refs/heads/$name" || true)"
    if [ -n "$parent" ] && [ "$(git rev-parse "$parent^{tree}")" = "$tree" ]; then
        echo "$name: no change"
        continue
    fi
    commit="$(git commit-tree "$tree" ${parent:+-p "$parent"} -m "$what")"
    git update-ref "refs/heads/$name" "$commit" "$parent" # if nobody moved it meanwhile
    echo "$name: $commit"
done
rm -f "$GIT_INDEX_FILE"
