#!/bin/sh
# Runs in the image tools, before everything: the keyset that seals the vault,
# and one token of the control API, each made once and then left alone.
#
# The token itself is kept beside its digest, for the service haloctl. A token
# that people get is made with "tokens new" and shown once.
set -eu
cd /secrets
umask 077
[ -f keyset.json ] || haloctl keys new keyset.json
if [ ! -f api-token ]; then
	# Of a run that died between the two files there is a digest whose token
	# nobody knows.
	rm -f api-tokens
	haloctl tokens new --name operator api-tokens >api-token.new
	mv api-token.new api-token
fi
