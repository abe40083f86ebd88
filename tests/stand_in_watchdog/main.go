// A stand-in for OpenFaaS' of-watchdog, for machines where the real one cannot be had.
//
// It starts the function's process and forwards requests to it, as of-watchdog's "http" mode does:
// https://docs.openfaas.com/reference/workloads/. It leaves out every other mode, limits, metrics,
// authentication and the lock file.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Kubernetes gives a container 30 seconds between SIGTERM and SIGKILL by default.
const shutdownGrace = 30 * time.Second

func main() {
	upstream, err := url.Parse(setting("upstream_url", "http://127.0.0.1:5000"))
	if err != nil {
		log.Fatalf("upstream_url is not a URL: %v", err)
	}
	function := start(strings.Fields(setting("fprocess", "")))
	server := &http.Server{Addr: ":" + setting("port", "8080"), Handler: routes(upstream)}

	ended := make(chan error, 1)
	go func() { ended <- function.Wait() }()
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatalf("cannot listen: %v", err)
		}
	}()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)

	select {
	case err := <-ended:
		log.Fatalf("the function's process ended: %v", err)
	case <-terminated:
		stop(server, function, ended)
	}
}

func start(fprocess []string) *exec.Cmd {
	if len(fprocess) == 0 {
		log.Fatal("fprocess is empty: set it to the command that serves the function")
	}
	function := exec.Command(fprocess[0], fprocess[1:]...)
	function.Stdout, function.Stderr = os.Stdout, os.Stderr
	if err := function.Start(); err != nil {
		log.Fatalf("cannot start the function: %v", err)
	}
	return function
}

func routes(upstream *url.URL) http.Handler {
	forward := httputil.NewSingleHostReverseProxy(upstream)
	forward.FlushInterval = -1 // streamed answers pass as they come
	routes := http.NewServeMux()
	routes.HandleFunc("/_/health", func(answer http.ResponseWriter, _ *http.Request) {
		answer.WriteHeader(http.StatusOK)
	})
	routes.Handle("/_/ready", readiness(forward))
	routes.Handle("/", forward)
	return routes
}

// readiness asks the function itself at ready_path, or says yes when it has no such path.
func readiness(forward http.Handler) http.Handler {
	path := setting("ready_path", "")
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if path == "" {
			answer.WriteHeader(http.StatusOK)
			return
		}
		request.URL.Path = path
		forward.ServeHTTP(answer, request)
	})
}

// stop lets the function finish what it is answering, then takes the listener down.
func stop(server *http.Server, function *exec.Cmd, ended <-chan error) {
	deadline, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	_ = function.Process.Signal(syscall.SIGTERM)
	_ = server.Shutdown(deadline)
	select {
	case <-ended:
	case <-deadline.Done():
		_ = function.Process.Kill()
	}
}

func setting(name, otherwise string) string {
	if value := strings.TrimSpace(os.Getenv(name)); value != "" {
		return value
	}
	return otherwise
}
