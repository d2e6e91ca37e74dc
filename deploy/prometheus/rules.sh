#!/bin/sh
# Writes the alerts of rules.yml, with your own address of the runbook and prefix of
# the jobs, as a file for Prometheus or as a PrometheusRule for its operator:
#
#   RUNBOOK_URL=https://wiki.example.com/halo JOB_PREFIX=work- deploy/prometheus/rules.sh > rules.yml
#   RUNBOOK_URL=https://wiki.example.com/halo deploy/prometheus/rules.sh kubernetes > prometheusrule.yaml
#
# Each alert's link is RUNBOOK_URL#name. JOB_PREFIX is what stands before the stage's
# name in the label job of your scrape.
set -eu
kind=${1:-prometheus}
url=${RUNBOOK_URL:-https://github.com/worksights/halo-connector/blob/main/deploy/runbook.md}
prefix=${JOB_PREFIX-halo-}
# Either goes into a sed script and, in quotes, into the rules.
case $url$prefix in
*[!A-Za-z0-9:/._~%?=@+-]*) echo "rules.sh: RUNBOOK_URL or JOB_PREFIX has a character that is none of an address" >&2; exit 2 ;;
esac
rules() {
  sed -e "s|https://github.com/worksights/halo-connector/blob/main/deploy/runbook\.md#|$url#|" \
    -e "s|job=~\"halo-(|job=~\"$prefix(|" "$(dirname "$0")/rules.yml"
}
case $kind in
prometheus) rules ;;
kubernetes)
  printf '%s\n' '# Made of deploy/prometheus/rules.yml by deploy/prometheus/rules.sh; change that file.' \
    'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' '  name: halo-connector' 'spec:'
  rules | sed 's/^./  &/'
  ;;
*) echo "usage: rules.sh [prometheus|kubernetes]" >&2; exit 2 ;;
esac
