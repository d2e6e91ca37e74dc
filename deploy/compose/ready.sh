#!/bin/sh
# Runs in the image tools, last: ends well once every stage says that it is
# ready, and otherwise tells what they say.
set -u
tries=120
while :; do
	waiting=
	for stage in ingest:9101 processor:9102 sink:9103 connect:9104; do
		wget -q -T 2 -O /dev/null "http://$stage/readyz" 2>/dev/null || waiting="$waiting $stage"
	done
	[ -n "$waiting" ] || { echo "every stage is ready" && exit 0; }
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || break
	sleep 1
done
echo "not ready after two minutes:$waiting; see docker compose logs" >&2
exit 1
