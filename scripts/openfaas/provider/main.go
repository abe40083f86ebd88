// provider is what stands behind the OpenFaaS gateway on one machine: it proxies invocations to functions that
// run already, wherever they were registered, with the proxy of the real providers. It runs no containers: of a
// function that is deployed and not registered it says so.
//
//	provider -port PORT -timeout 31m
//
// Beside the provider's API (openfaas/faas-provider v0.25.8 serve.go), which the gateway passes on, it has routes
// that only loopback reaches:
//
//	PUT /endpoints/NAME    ["http://127.0.0.1:5052", …], the running replicas of a function
//	GET /deployments       every deployment asked for, oldest first
//	GET /api/v1/query      the gateway's question to Prometheus, how often each function was called
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	bootstrap "github.com/openfaas/faas-provider"
	"github.com/openfaas/faas-provider/proxy"
	"github.com/openfaas/faas-provider/types"
)

func main() {
	log.SetFlags(0)
	port := flag.Int("port", 0, "where to listen on loopback")
	timeout := flag.Duration("timeout", time.Minute, "the longest invocation")
	flag.Parse()
	known := newFunctions()
	config := types.FaaSConfig{ReadTimeout: *timeout, WriteTimeout: *timeout}
	server := http.Server{
		// bootstrap.Serve would listen on every interface.
		Addr:         fmt.Sprintf("127.0.0.1:%d", *port),
		ReadTimeout:  *timeout,
		WriteTimeout: *timeout,
		Handler:      routes(known, known.invoke(proxy.NewHandlerFunc(config, known, false))),
	}
	log.Fatal(server.ListenAndServe())
}

func routes(known *functions, invoke http.HandlerFunc) http.Handler {
	const name = "{name:[" + bootstrap.NameExpression + "]+}"
	router := mux.NewRouter()
	router.HandleFunc("/function/"+name, invoke)
	router.HandleFunc("/function/"+name+"/", invoke)
	router.HandleFunc("/function/"+name+"/{params:.*}", invoke)

	system := router.PathPrefix("/system").Subrouter()
	system.HandleFunc("/functions", known.list).Methods(http.MethodGet)
	system.HandleFunc("/functions", known.deploy).Methods(http.MethodPost)
	system.HandleFunc("/functions", known.update).Methods(http.MethodPut)
	system.HandleFunc("/functions", known.remove).Methods(http.MethodDelete)
	system.HandleFunc("/function/"+name, known.status).Methods(http.MethodGet)
	system.HandleFunc("/scale-function/"+name, known.scale).Methods(http.MethodPost)
	system.HandleFunc("/namespaces", listNamespaces).Methods(http.MethodGet)
	system.HandleFunc("/info", info).Methods(http.MethodGet)
	system.HandleFunc("/secrets", refuse("secrets: functions here read files of this machine"))
	system.HandleFunc("/logs", refuse("logs: functions here write to files of this machine"))
	router.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})

	router.HandleFunc("/endpoints/"+name, known.register).Methods(http.MethodPut)
	router.HandleFunc("/deployments", known.listDeployments).Methods(http.MethodGet)
	router.HandleFunc("/api/v1/query", known.countCalls).Methods(http.MethodGet)
	return router
}
