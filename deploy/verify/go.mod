// What checks the files of deploy/ offline: parsers of Prometheus, Compose and
// Kubernetes. A module of its own, so that their hundreds of dependencies are
// not the connector's.
module github.com/worksights/halo-connector/deploy/verify

go 1.26.8

require github.com/worksights/halo-connector v0.0.0

replace github.com/worksights/halo-connector => ../..
