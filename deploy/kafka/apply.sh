#!/usr/bin/env bash
# Applies the file acls beside it to a cluster, and makes the users where asked
# to. May be repeated: an ACL or a user that is there stays as it is. Nothing is
# taken away: what was removed from the file is removed by hand.
#
#   KAFKA_BOOTSTRAP       host:port of a broker (default 127.0.0.1:9092)
#   KAFKA_COMMAND_CONFIG  properties file of a client that may alter ACLs (default: none)
#   KAFKA_BIN             where kafka-acls.sh and kafka-configs.sh are (default: the PATH)
#   TOPIC_PREFIX          begins the names of the topics (default halo.)
#   SCRAM_PASSWORDS       file of lines PRINCIPAL PASSWORD; each becomes a user of
#                         SCRAM-SHA-512. Not set: the cluster knows its users already.
#   DRY_RUN               not empty: print the commands, passwords left out, and run none
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=${TOPIC_PREFIX-halo.}
# Without one, the pattern topic:* would be every topic of the cluster.
[ -n "$prefix" ] || { echo "apply.sh: TOPIC_PREFIX is empty" >&2 && exit 2; }
bin=${KAFKA_BIN:+$KAFKA_BIN/}
connection=(--bootstrap-server "${KAFKA_BOOTSTRAP:-127.0.0.1:9092}")
[ -z "${KAFKA_COMMAND_CONFIG:-}" ] || connection+=(--command-config "$KAFKA_COMMAND_CONFIG")

# run COMMAND ARGUMENT... is quiet unless the command fails.
run() {
	if [ -n "${DRY_RUN:-}" ]; then
		printf '%s' "$1"
		shift
		printf ' %q' "$@"
		printf '\n'
		return
	fi
	local said
	said=$("$bin$1" "${@:2}" 2>&1 </dev/null) || {
		printf '%s\n' "$said" >&2
		exit 1
	}
}

if [ -n "${SCRAM_PASSWORDS:-}" ]; then
	# As a file, since arguments can be read by every process of the machine.
	config=$(mktemp)
	trap 'rm -f "$config"' EXIT
	while read -r user password; do
		[ -n "$user" ] || continue
		echo "user $user" >&2
		printf 'SCRAM-SHA-512=password=%s\n' "$password" >"$config"
		run kafka-configs.sh "${connection[@]}" --alter --add-config-file "$config" --entity-type users --entity-name "$user"
	done <"$SCRAM_PASSWORDS"
fi

while read -r principal operations resources; do
	case $principal in '' | '#'*) continue ;; esac
	args=(--add --allow-principal "User:$principal")
	for operation in ${operations//,/ }; do args+=(--operation "$operation"); done
	set -f # topic:* is a pattern for us and not for the shell
	for resource in $resources; do
		case $resource in
		'topic:*') args+=(--topic "$prefix" --resource-pattern-type prefixed) ;;
		topic:*) args+=(--topic "$prefix${resource#topic:}") ;;
		group:.*) args+=(--group "$prefix${resource#group:.}") ;;
		group:*) args+=(--group "${resource#group:}") ;;
		*) echo "apply.sh: $resource: want topic:NAME or group:NAME" >&2 && exit 2 ;;
		esac
	done
	set +f
	echo "$principal: $operations on $resources" >&2
	run kafka-acls.sh "${connection[@]}" "${args[@]}"
done <"$here/acls"
