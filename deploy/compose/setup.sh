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
if [ ! -f api-tokens ]; then
	# The file of digests comes last: a run that dies before it is repeated
	# whole, and one that finds it touches nobody's token.
	rm -f api-tokens.new
	haloctl tokens new --name operator api-tokens.new >api-token.new
	mv api-token.new api-token
	mv api-tokens.new api-tokens
fi
