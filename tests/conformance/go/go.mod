// Callers of OpenFaaS' own Go client. Its packages builder, seal and internal are byte for byte the same at v0.2.22
// and at v0.3.0 (tag's commit 3de544f81920), whose archive the module proxy did not hand out when this was written.
module github.com/openfaas/builder-fn/tests/conformance/go

go 1.26.3

require github.com/openfaas/go-sdk v0.2.22

require (
	github.com/alexellis/hmac/v2 v2.0.0 // indirect
	golang.org/x/crypto v0.39.0 // indirect
	golang.org/x/sys v0.33.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
