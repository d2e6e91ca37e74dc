#!/usr/bin/env bash
# Apache Kafka on this machine, from Maven jars: one node or several, KRaft,
# loopback only. For tests and for trying a change out; nothing else.
#
#   kafka.sh lib                     fetch the jars once, print where they are
#   kafka.sh start DIR NODE...       start one node per NODE, return when all are up
#   kafka.sh stop DIR                stop what start left in DIR, by process id
#   kafka.sh run DIR ID NODE...      the node number ID (from 1) in the foreground
#
# NODE is CLIENTPORT:CONTROLLERPORT, both on 127.0.0.1; or, with a third port behind
# them, one that also has a listener SECURE there, whose settings are properties,
# listener.security.protocol.map among them. DIR keeps everything a node writes: a
# later start with the same DIR and ports finds the same cluster.
#
#   KAFKA_LOCAL_LIB         where the jars lie (default: the user's cache)
#   KAFKA_LOCAL_PROPERTIES  lines that are added to every node's server.properties
#   KAFKA_LOCAL_HEAP        heap of one node (default 384m)
#
# Exit code 69: Java or Maven is absent, so there can be no Kafka here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
lib=${KAFKA_LOCAL_LIB:-${XDG_CACHE_HOME:-$HOME/.cache}/halo-connector/kafka-$version}

# One id for all clusters of this script: they never meet, each has its own DIR.
cluster_id=aGFsby1jb25uZWN0b3IAAA

die() { echo "kafka.sh: $1" >&2; exit "${2:-1}"; }

fetch() {
	command -v java >/dev/null || die "no Kafka here: java (17 or newer) is absent" 69
	[ -d "$lib" ] && return
	command -v mvn >/dev/null || die "no Kafka here: mvn is absent, and $lib with it" 69
	mkdir -p "$(dirname "$lib")"
	# Filled beside its place and moved there whole: a download that breaks off
	# never looks like a library, and two at once do not mix.
	local part
	part=$(mktemp -d "$lib.XXXXXX")
	if ! mvn -B -q -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$part" >"$part.log" 2>&1; then
		cat "$part.log" >&2
		rm -rf "$part" "$part.log"
		die "Maven could not fetch Kafka $version" 69
	fi
	rm -f "$part.log"
	if [ -d "$lib" ]; then rm -rf "$part"; else mv "$part" "$lib"; fi
}

# archive has the classes of a broker laid out once as a JVM wants them in memory,
# which is half of what a start costs: tests start a hundred. Where it does not come
# about there is an empty file, and brokers start as they would without.
archive() {
	[ ! -e "$lib.jsa" ] || return 0
	local part pid
	part=$(mktemp -d "$lib.XXXXXX" 2>/dev/null) || return 0 # the jars may lie where nobody may write
	ARCHIVE=$part/jsa bash "$0" run "$part" 1 "$((10000 + RANDOM % 5000)):$((15000 + RANDOM % 4000))" >"$part/log" 2>&1 &
	pid=$!
	for _ in {1..600}; do
		kill -0 "$pid" 2>/dev/null && ! grep -q 'Kafka Server started' "$part/log" || break
		sleep 0.1
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid" || true
	touch "$part/jsa"
	mv "$part/jsa" "$lib.jsa"
	rm -rf "$part"
}

# properties ID NODE... prints the node's server.properties.
properties() {
	local id=$1 n=0 voters="" client="" controller secure replicas isr further=""
	shift
	for node in "$@"; do
		n=$((n + 1))
		IFS=: read -r _ controller _ <<<"$node"
		voters+="${voters:+,}$n@127.0.0.1:$controller"
	done
	[ "$id" -le "$n" ] || die "node $id is not among $# nodes"
	IFS=: read -r client controller secure <<<"${!id}"
	[ -z "$secure" ] || further=",SECURE://127.0.0.1:$secure"
	# Three nodes keep three copies and acknowledge with two, as production does.
	replicas=$((n < 3 ? n : 3))
	isr=$((replicas == 3 ? 2 : 1))
	cat <<-EOF
		process.roles=broker,controller
		node.id=$id
		controller.quorum.voters=$voters
		listeners=CLIENT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$controller$further
		advertised.listeners=CLIENT://127.0.0.1:$client$further
		listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
		inter.broker.listener.name=CLIENT
		controller.listener.names=CONTROLLER
		log.dirs=$dir/$id/data
		default.replication.factor=$replicas
		min.insync.replicas=$isr
		offsets.topic.replication.factor=$replicas
		offsets.topic.num.partitions=3
		transaction.state.log.replication.factor=$replicas
		transaction.state.log.min.isr=$isr
		transaction.state.log.num.partitions=3
		share.coordinator.state.topic.replication.factor=$replicas
		share.coordinator.state.topic.min.isr=$isr
		# A misspelt topic must be an error here as it is in production.
		auto.create.topics.enable=false
		# Tests make and leave groups all the time; the usual three seconds of
		# waiting for further members would be most of their run.
		group.initial.rebalance.delay.ms=0
		# A killed node is noticed in three seconds instead of nine, a frozen one
		# leaves the in-sync replicas in five instead of thirty: the same events,
		# in less time. Ten times the heartbeat, so that a busy machine is not
		# taken for a dead one.
		broker.heartbeat.interval.ms=300
		broker.session.timeout.ms=3000
		replica.lag.time.max.ms=5000
		# A node that starts on a busy machine, and waits for the others of its quorum,
		# gives up after three minutes instead of one.
		initial.broker.registration.timeout.ms=180000
		# Compaction looks for work every half second instead of every fifteen.
		log.cleaner.backoff.ms=500
		log.cleaner.dedupe.buffer.size=16777216
	EOF
	printf '%s\n' "${KAFKA_LOCAL_PROPERTIES:-}"
}

logging() {
	cat <<-'EOF'
		status = error
		appender.out.type = Console
		appender.out.name = out
		appender.out.layout.type = PatternLayout
		appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
		rootLogger.level = info
		rootLogger.appenderRef.out.ref = out
	EOF
}

# run never returns: the shell becomes the JVM, so that whoever started the
# script holds the broker's process id and can kill or freeze exactly it.
run() {
	local id=$1
	shift
	fetch
	[ -n "${ARCHIVE:-}" ] || archive
	mkdir -p "$dir/$id"
	properties "$id" "$@" >"$dir/$id/server.properties"
	logging >"$dir/$id/log4j2.properties"
	# Quick to start and small: what a test broker does never pays for the
	# optimising compiler, nor for a collector of its own threads.
	local java=(java "-Xmx${KAFKA_LOCAL_HEAP:-384m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1
		"-Dlog4j2.configurationFile=file:$dir/$id/log4j2.properties" -cp "$lib/*")
	[ ! -s "$lib.jsa" ] || java+=("-XX:SharedArchiveFile=$lib.jsa")
	if [ ! -f "$dir/$id/data/meta.properties" ]; then
		"${java[@]}" kafka.tools.StorageTool format --cluster-id "$cluster_id" \
			--config "$dir/$id/server.properties" >"$dir/$id/format.log" 2>&1 ||
			{ cat "$dir/$id/format.log" >&2; die "node $id: formatting failed"; }
	fi
	[ -z "${ARCHIVE:-}" ] || java+=("-XX:ArchiveClassesAtExit=$ARCHIVE")
	exec "${java[@]}" kafka.Kafka "$dir/$id/server.properties"
}

# running ID prints the process id of a node that start left, if it still lives
# and is that node: after a reboot the number may belong to somebody else.
running() {
	local pid
	pid=$(cat "$dir/$1/pid" 2>/dev/null) || return 1
	ps -o args= -p "$pid" 2>/dev/null | grep -qF "$dir/$1/server.properties" || return 1
	echo "$pid"
}

start() {
	local id pid deadline
	fetch
	for ((id = 1; id <= $#; id++)); do
		running "$id" >/dev/null && die "node $id already runs in $dir"
		mkdir -p "$dir/$id"
		# Emptied here and not by the node: what is read below is this start's.
		: >"$dir/$id/server.log"
		"$0" run "$dir" "$id" "$@" >"$dir/$id/server.log" 2>&1 </dev/null &
		echo $! >"$dir/$id/pid"
	done
	deadline=$((SECONDS + 90))
	for ((id = 1; id <= $#; id++)); do
		until grep -q 'Kafka Server started' "$dir/$id/server.log"; do
			pid=$(cat "$dir/$id/pid")
			if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
				tail -n 20 "$dir/$id/server.log" >&2
				stop
				die "node $id did not start; its log is $dir/$id/server.log"
			fi
			sleep 0.2
		done
	done
	local brokers=("$@")
	brokers=("${brokers[@]%%:*}")
	brokers=("${brokers[@]/#/127.0.0.1:}")
	(IFS=,; echo "KAFKA_BROKERS=${brokers[*]}")
}

stop() {
	local id pid pids=()
	for id in $(cd "$dir" && ls); do
		pid=$(running "$id") || continue
		kill "$pid" 2>/dev/null && pids+=("$pid")
	done
	# All are told first and waited for together: a node that leaves alone hands
	# its partitions to neighbours that are leaving too. Two of three down is no
	# quorum, and the last one would wait for it: so TERM has ten seconds.
	local deadline=$((SECONDS + 10))
	for pid in ${pids[@]+"${pids[@]}"}; do
		while kill -0 "$pid" 2>/dev/null; do
			((SECONDS <= deadline)) || { kill -9 "$pid" 2>/dev/null || true; break; }
			sleep 0.1
		done
	done
}

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 64; }

command=${1:-}
case $command in
lib) fetch; archive; echo "$lib"; exit ;;
start | run) [ $# -ge 3 ] || usage ;;
stop) [ $# -eq 2 ] || usage ;;
*) usage ;;
esac
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
"$command" "$@"
