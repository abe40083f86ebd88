// Rival is the builder that scripts/bench measures ours against: one HTTP server doing it the usual
// way. It verifies the signature, unpacks the tar into a temporary folder, hands that folder to
// BuildKit's own Go client, and answers with one JSON document.
//
// It is made to be fast the usual way, not to be attacked: it trusts the tar's names once the
// signature is right.
//
// With --bare it is no builder but a measure: see bare.go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
)

type server struct {
	buildkit *client.Client
	secret   []byte
	bare     bool
}

type answer struct {
	Status   string   `json:"status"`
	Image    string   `json:"image,omitempty"`
	Digest   string   `json:"digest,omitempty"`
	Error    string   `json:"error,omitempty"`
	Log      []string `json:"log"`
	Duration float64  `json:"duration"`
	// Of --bare alone.
	Client *span `json:"client,omitempty"`
	Daemon *span `json:"daemon,omitempty"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	buildkit := flag.String("buildkit", os.Getenv("BUILDKIT_HOST"), "address of buildkitd")
	secretFile := flag.String("secret-file", os.Getenv("PAYLOAD_SECRET_FILE"), "file with the payload secret")
	bare := flag.Bool("bare", false, "do no more than the daemon needs, and answer with when it did what")
	flag.Parse()
	if err := run(*listen, *buildkit, *secretFile, *bare); err != nil {
		log.Fatal(err)
	}
}

func run(listen, buildkit, secretFile string, bare bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	secret, err := os.ReadFile(secretFile)
	if err != nil {
		return err
	}
	// One connection for the life of the server: the usual way at its best.
	connection, err := client.New(ctx, buildkit)
	if err != nil {
		return err
	}
	defer connection.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	log.Printf("listening on %s", listener.Addr())
	handler := &server{buildkit: connection, secret: bytes.TrimSpace(secret), bare: bare}
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		httpServer.Close()
	}()
	if err := httpServer.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST a signed tar", http.StatusMethodNotAllowed)
		return
	}
	body, err := readBody(r)
	if err != nil {
		reply(w, http.StatusBadRequest, answer{Error: err.Error()})
		return
	}
	if !signed(body, s.secret, r.Header.Get("X-Build-Signature")) {
		reply(w, http.StatusUnauthorized, answer{Error: "wrong signature"})
		return
	}
	started := time.Now()
	serve := s.serve
	if s.bare {
		serve = s.serveBare
	}
	result, err := serve(r.Context(), body)
	result.Duration = time.Since(started).Seconds()
	if err != nil {
		result.Error = err.Error()
		reply(w, http.StatusUnprocessableEntity, result)
		return
	}
	reply(w, http.StatusOK, result)
}

// readBody makes room once when the length is known, instead of growing on the way.
func readBody(r *http.Request) ([]byte, error) {
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(r.Body)
	return buffer.Bytes(), err
}

func (s *server) serve(ctx context.Context, body []byte) (answer, error) {
	folder, err := os.MkdirTemp("", "rival-")
	if err != nil {
		return answer{}, err
	}
	defer os.RemoveAll(folder)
	if err := unpack(bytes.NewReader(body), folder); err != nil {
		return answer{}, err
	}
	config, err := readConfig(filepath.Join(folder, configName))
	if err != nil {
		return answer{}, err
	}
	digest, lines, err := build(ctx, s.buildkit, filepath.Join(folder, "context"), config)
	return answer{Image: config.Image, Digest: digest, Log: lines}, err
}

func reply(w http.ResponseWriter, status int, result answer) {
	result.Status = "success"
	if status != http.StatusOK {
		result.Status = "failed"
	}
	document, err := json.Marshal(result)
	if err != nil {
		log.Print(err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(document))
}
