#!/usr/bin/env bash
# Draws every password of compose.yaml into deploy/secrets/, once. Passwords
# that are there stay as they are.
#
# The folder is for its owner only. The files that containers mount are readable
# in themselves, because users in containers have other numbers than here; the
# folder keeps other users of this machine out.
set -euo pipefail
umask 077
dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/secrets
[ ! -e "$dir" ] || { echo "$dir is there already; nothing to do" && exit 0; }

# Filled beside its place and moved there whole: a run that breaks off leaves no
# half of it.
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT
draw() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for principal in ingest processor sink connect haloctl; do
	password=$(draw)
	echo "$password" >"$new/kafka-$principal"
	echo "$principal $password" >>"$new/kafka-users"
done
for user in migrate sink connect erase analyst; do
	password=$(draw)
	# Programs get a DSN, people a password.
	case $user in
	analyst) echo "$password" >"$new/clickhouse-$user" ;;
	*) echo "http://$user:$password@clickhouse:8123/worksights" >"$new/clickhouse-$user" ;;
	esac
	echo "SET param_${user}_password = '$password';" >>"$new/clickhouse-passwords.sql"
done
echo "CLICKHOUSE_PASSWORD=$(draw)" >"$new/clickhouse.env"
echo "GF_SECURITY_ADMIN_PASSWORD=$(draw)" >"$new/grafana.env"
chmod 0644 "$new"/kafka-* "$new/clickhouse-passwords.sql" "$new"/clickhouse-{migrate,sink,connect,erase,analyst}
mv "$new" "$dir"
trap - EXIT
echo "passwords drawn into $dir"
