// A stand-in for OpenFaaS' of-watchdog, for machines where the real one cannot be had.
//
// It starts the function's process and answers for it as of-watchdog 0.11.6 does in its "http" mode, in all that a
// caller, a probe or a signal can tell: what is said while the function does not listen, the lock and the two
// paths that look for it, how a call is cut off, and what comes after SIGTERM. It leaves out every other mode,
// authentication, metrics and what is written to the log.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Of a request's head the watchdog takes this much, and leaves the rest of the judging to the function.
const maxHeaderBytes = 1 << 20

// What stands for a watchdog's own answers, and not the function's.
const internalHeader = "X-OpenFaaS-Internal"

type watchdog struct {
	upstream    *url.URL
	execTimeout time.Duration
	readyPath   string
	maxInflight int64
	inflight    atomic.Int64
	accepting   atomic.Bool
	client      *http.Client
	streams     *httputil.ReverseProxy
}

func main() {
	upstream, err := url.Parse(setting("http_upstream_url", setting("upstream_url", "http://127.0.0.1:5000")))
	if err != nil {
		log.Fatalf("upstream_url is not a URL: %v", err)
	}
	dog := newWatchdog(upstream)
	function := start(strings.Fields(setting("fprocess", "")))
	go func() {
		// One that ends well, as after SIGTERM, is no reason to leave.
		if err := function.Wait(); err != nil {
			log.Fatalf("the function's process ended: %v", err)
		}
	}()

	routes := http.NewServeMux()
	routes.HandleFunc("/", dog.limited)
	routes.HandleFunc("/_/health", dog.health)
	routes.HandleFunc("/_/ready", dog.ready)
	server := &http.Server{
		Addr:           ":" + setting("port", "8080"),
		Handler:        routes,
		ReadTimeout:    duration("read_timeout", 30*time.Second),
		WriteTimeout:   duration("write_timeout", 30*time.Second),
		MaxHeaderBytes: maxHeaderBytes,
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatalf("cannot listen: %v", err)
		}
	}()
	dog.accept()

	<-terminated
	_ = function.Process.Signal(syscall.SIGTERM)
	dog.accepting.Store(false)
	_ = os.Remove(lockFile())
	time.Sleep(duration("healthcheck_interval", server.WriteTimeout))
	deadline, cancel := context.WithTimeout(context.Background(), server.WriteTimeout)
	defer cancel()
	_ = server.Shutdown(deadline)
}

func newWatchdog(upstream *url.URL) *watchdog {
	execTimeout := duration("exec_timeout", 30*time.Second)
	maxInflight, _ := strconv.ParseInt(setting("max_inflight", "0"), 10, 64)
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: execTimeout}).DialContext,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     500 * time.Millisecond,
	}
	return &watchdog{
		upstream:    upstream,
		execTimeout: execTimeout,
		readyPath:   setting("ready_path", ""),
		maxInflight: maxInflight,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		streams: &httputil.ReverseProxy{
			Director: func(request *http.Request) {
				request.URL.Scheme, request.URL.Host = upstream.Scheme, upstream.Host
			},
			// Of a stream that cannot be had nothing is said: an empty 200.
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) {},
			ErrorLog:     log.New(io.Discard, "", 0),
		},
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

// accept says that calls are taken; unless told otherwise, also with the lock, although nobody knows yet
// whether the function listens.
func (dog *watchdog) accept() {
	if value := setting("suppress_lock", ""); value != "true" && value != "1" {
		if err := os.WriteFile(lockFile(), nil, 0o660); err != nil {
			log.Fatalf("cannot write the lock: %v", err)
		}
	}
	dog.accepting.Store(true)
}

func (dog *watchdog) healthy() bool {
	_, err := os.Stat(lockFile())
	return dog.accepting.Load() && err == nil
}

func (dog *watchdog) health(answer http.ResponseWriter, request *http.Request) {
	switch {
	case request.Method != http.MethodGet:
		answer.WriteHeader(http.StatusMethodNotAllowed)
	case dog.healthy():
		_, _ = io.WriteString(answer, "OK")
	default:
		answer.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (dog *watchdog) ready(answer http.ResponseWriter, request *http.Request) {
	switch {
	case request.Method != http.MethodGet:
		answer.WriteHeader(http.StatusMethodNotAllowed)
	case !dog.healthy():
		answer.WriteHeader(http.StatusServiceUnavailable)
	case dog.maxInflight > 0 && dog.inflight.Load() >= dog.maxInflight:
		answer.WriteHeader(http.StatusTooManyRequests)
	case dog.readyPath != "":
		asked := request.Clone(request.Context())
		asked.RequestURI, asked.URL = dog.readyPath, &url.URL{Path: dog.readyPath}
		dog.call(answer, asked)
	}
}

func (dog *watchdog) limited(answer http.ResponseWriter, request *http.Request) {
	defer dog.inflight.Add(-1)
	if running := dog.inflight.Add(1); dog.maxInflight > 0 && running > dog.maxInflight {
		answer.Header().Set("Content-Type", "text/plain")
		answer.Header().Set(internalHeader, "faas-middleware")
		answer.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprintf(answer, "More than %d requests at once.\n", dog.maxInflight)
		return
	}
	dog.call(answer, request)
}

// call forwards a request: one that asks for a stream through a proxy that passes on each line as it comes, any
// other with a body of unknown length, as a call of its own.
func (dog *watchdog) call(answer http.ResponseWriter, request *http.Request) {
	if isForStream(request) {
		dog.streams.ServeHTTP(answer, request)
		return
	}
	begun := time.Now()
	limited, cancel := context.WithTimeout(request.Context(), dog.timeoutOf(request))
	defer cancel()
	forwarded, err := http.NewRequestWithContext(
		limited, request.Method, dog.upstream.String()+request.RequestURI, request.Body)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	forwarded.Header, forwarded.Host = request.Header.Clone(), request.Host
	found, err := dog.client.Do(forwarded)
	answer.Header().Set("X-Duration-Seconds", fmt.Sprintf("%f", time.Since(begun).Seconds()))
	if err != nil {
		answer.Header().Set(internalHeader, "of-watchdog")
		if limited.Err() != nil {
			// Too late, or the caller has closed its side: both end the call.
			answer.WriteHeader(http.StatusGatewayTimeout)
		} else {
			answer.WriteHeader(http.StatusInternalServerError)
		}
		return
	}
	defer found.Body.Close()
	for name, values := range found.Header {
		answer.Header()[name] = values
	}
	answer.WriteHeader(found.StatusCode)
	_, _ = io.Copy(answer, found.Body)
}

// timeoutOf is exec_timeout, or less where the request itself asks for less.
func (dog *watchdog) timeoutOf(request *http.Request) time.Duration {
	asked, err := time.ParseDuration(request.Header.Get("X-Timeout"))
	if err == nil && asked <= dog.execTimeout {
		return asked
	}
	return dog.execTimeout
}

func isForStream(request *http.Request) bool {
	accept := strings.ToLower(request.Header.Get("Accept"))
	return strings.Contains(accept, "text/event-stream") ||
		strings.Contains(accept, "application/x-ndjson") ||
		request.Header.Get("Upgrade") == "websocket"
}

func lockFile() string {
	return filepath.Join(os.TempDir(), ".lock")
}

func setting(name, otherwise string) string {
	if value := strings.TrimSpace(os.Getenv(name)); value != "" {
		return value
	}
	return otherwise
}

// duration reads "41m", and a bare number as seconds.
func duration(name string, otherwise time.Duration) time.Duration {
	value := setting(name, "")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if found, err := time.ParseDuration(value); err == nil {
		return found
	}
	return otherwise
}
