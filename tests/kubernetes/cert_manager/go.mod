// cert-manager's definitions of its resources: files beside its code, so `go mod tidy` would take the line away. Not
// in the module of the cluster, whose libraries it would raise above those that Kubernetes was released with.
module github.com/openfaas/builder-fn/tests/kubernetes/cert_manager

go 1.26.3

require github.com/cert-manager/cert-manager v1.21.2 // indirect
