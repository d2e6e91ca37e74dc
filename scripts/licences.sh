#!/usr/bin/env bash
# Prints what is in the programs: each module with its version, its checksum of
# go.sum and its licence. Fails where a licence is none of those that we take, or
# cannot be told by its words.
set -euo pipefail
cd "$(dirname "$0")/.."

# licence names the licence of a folder by words that only it has.
licence() {
  local text
  text=$(cat "$1"/LICENSE* "$1"/LICENCE* "$1"/COPYING* 2>/dev/null | tr -s '[:space:]' ' ') || true
  case $text in
    *"GNU GENERAL PUBLIC LICENSE"* | *"GNU AFFERO"* | *"GNU LESSER"*) echo GPL ;;
    *"Apache License Version 2.0"* | *"Apache License, Version 2.0"*) echo Apache-2.0 ;;
    *"Mozilla Public License"*) echo MPL-2.0 ;;
    *"Permission is hereby granted, free of charge"*) echo MIT ;;
    *"Permission to use, copy, modify, and"*) echo ISC ;;
    *"Redistribution and use in source and binary forms"*"either the name"*) echo BSD-3-Clause ;;
    *"Redistribution and use in source and binary forms"*) echo BSD-2-Clause ;;
    *) echo unknown ;;
  esac
}

bad=0
while read -r path version dir; do
  is=$(licence "$dir")
  sum=$(awk -v p="$path" -v v="$version" '$1 == p && $2 == v { print $3 }' go.sum)
  printf '%s %s %s %s\n' "$path" "$version" "${is}" "$sum"
  case $is in Apache-2.0 | MIT | ISC | BSD-2-Clause | BSD-3-Clause) ;; *) echo "licences: $path: $is" >&2; bad=1 ;; esac
  [ -n "$sum" ] || { echo "licences: $path has no checksum in go.sum" >&2; bad=1; }
done < <(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/{ingest,processor,sink,connect,local,haloctl} | sort -u)
exit "$bad"
