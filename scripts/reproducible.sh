#!/usr/bin/env bash
# Builds a program from this folder and from a copy of it elsewhere, as the images
# are built, and wants the same bytes: no path, time or commit of the builder is in it.
# The compiler's cache is shared, so what is compiled twice is what knows its folder.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-connect}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/copy"
build() { GOFLAGS='' go build -trimpath -buildvcs=false -ldflags '-s -w -X github.com/worksights/halo-connector/internal/build.version=test' -o "$1" "./cmd/$program"; }
build "$work/here"
(cd "$work/copy" && build "$work/there")
cmp "$work/here" "$work/there"
if grep -qaF -e "$work" -e "$PWD/cmd" "$work/here"; then
  echo "reproducible: $program has a path of this machine in it" >&2
  exit 1
fi
echo "$program: twice the same $(sha256sum <"$work/here" | cut -c1-16)…, $(stat -c %s "$work/here") bytes"
