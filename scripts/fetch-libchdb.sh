#!/bin/sh
# Puts the pinned ClickHouse library where engine.FindLibrary looks for it:
# CACHE/halo-connector/libchdb-VERSION/libchdb.so, CACHE being the user's.
# Done once; afterwards it only sees that the file is there. Two that run at the
# same time do the work twice and end with the same file.
set -eu

version=26.7.3-stable.1

fail() {
	printf 'fetch-libchdb: %s\n' "$*" >&2
	exit 1
}

# An own copy is the owner's affair.
if [ -n "${LIBCHDB_PATH:-}" ]; then
	[ -f "$LIBCHDB_PATH" ] || fail "LIBCHDB_PATH=$LIBCHDB_PATH is not a file"
	exit 0
fi

cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}
case $(uname -s)-$(uname -m) in
Linux-x86_64)
	package=lib-linux-x64-gnu
	sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
	;;
*)
	fail "no library is pinned for $(uname -s) $(uname -m): get libchdb $version for it yourself and set LIBCHDB_PATH to its libchdb.so"
	;;
esac

dir=$cache/halo-connector/libchdb-$version
target=$dir/libchdb.so
# The stamp is written after the file was checked, so 570 MB need not be read again.
stamp=$dir/sha256
if [ -f "$target" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$sha256" ]; then
	exit 0
fi

checksum() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1" | cut -d' ' -f1
	else
		shasum -a 256 "$1" | cut -d' ' -f1
	fi
}

mkdir -p "$dir"
if [ -f "$target" ] && [ "$(checksum "$target")" = "$sha256" ]; then
	printf '%s\n' "$sha256" >"$stamp"
	exit 0
fi

command -v npm >/dev/null 2>&1 || fail "npm is needed to fetch libchdb $version; without it, set LIBCHDB_PATH to a copy of libchdb.so"
printf 'fetching libchdb %s (180 MB, once) into %s\n' "$version" "$dir" >&2

# In the same folder as the target: the last rename must not cross file systems.
work=$(mktemp -d "$dir/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

(cd "$work" && npm pack --silent --ignore-scripts "@chdb/$package@$version" >/dev/null) ||
	fail "npm could not fetch @chdb/$package@$version"
tar -xzf "$work"/*.tgz -C "$work" package/libchdb.so || fail "the package holds no libchdb.so"
got=$(checksum "$work/package/libchdb.so")
[ "$got" = "$sha256" ] || fail "libchdb.so has sha256 $got, expected $sha256: not used"
mv -f "$work/package/libchdb.so" "$target"
printf '%s\n' "$sha256" >"$stamp"
