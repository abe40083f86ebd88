// Makes one call of go-sdk's package builder and prints as JSON what it returned.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/openfaas/go-sdk/builder"
)

// returned is what a user of the SDK holds after the call.
type returned struct {
	Image   string   `json:"image"`
	Status  string   `json:"status"`
	Log     []string `json:"log"`
	Reason  string   `json:"reason"` // the result's own Error
	Error   string   `json:"error"`  // of the call
	Results int      `json:"results"`
}

func main() {
	address := flag.String("url", "", "base URL of the builder")
	call := flag.String("call", "", "Build, BuildWithStream, BuildWithSecrets or BuildWithSecretsStream")
	image := flag.String("image", "", "name of the image")
	context := flag.String("context", "", "folder to build from")
	keyFile := flag.String("payload-secret", "", "file of the key to sign with")
	secret := flag.String("secret", "", "name=value, sealed where the call takes secrets")
	flag.Parse()

	answer := returned{Log: []string{}}
	if err := run(&answer, *address, *call, *image, *context, *keyFile, *secret); err != nil {
		answer.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		panic(err)
	}
}

func run(answer *returned, address, call, image, context, keyFile, secret string) error {
	base, err := url.Parse(address)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	tar, err := os.CreateTemp("", "go-sdk-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(tar.Name())
	if err := errors.Join(tar.Close(), builder.MakeTar(tar.Name(), context, &builder.BuildConfig{Image: image})); err != nil {
		return err
	}

	options := []builder.BuilderOption{builder.WithHmacAuth(strings.TrimSpace(string(key)))}
	secrets := map[string]string{}
	if name, value, found := strings.Cut(secret, "="); found {
		public, err := publicKey(base)
		if err != nil {
			return err
		}
		secrets[name] = value
		options = append(options, builder.WithBuildSecretsKey([]byte(public)))
	}
	sdk := builder.NewFunctionBuilder(base, http.DefaultClient, options...)

	switch call {
	case "Build":
		result, err := sdk.Build(tar.Name())
		return answer.one(result, err)
	case "BuildWithSecrets":
		result, err := sdk.BuildWithSecrets(tar.Name(), secrets)
		return answer.one(result, err)
	case "BuildWithStream":
		stream, err := sdk.BuildWithStream(tar.Name())
		return answer.all(stream, err)
	case "BuildWithSecretsStream":
		stream, err := sdk.BuildWithSecretsStream(tar.Name(), secrets)
		return answer.all(stream, err)
	}
	return fmt.Errorf("no such call: %q", call)
}

func (r *returned) one(result builder.BuildResult, err error) error {
	if err != nil {
		return err
	}
	r.take(result)
	return nil
}

func (r *returned) all(stream *builder.BuildResultStream, err error) error {
	if err != nil {
		return err
	}
	for result, err := range stream.Results() {
		if err != nil {
			return err
		}
		r.take(result)
	}
	return nil
}

func (r *returned) take(result builder.BuildResult) {
	r.Image, r.Status, r.Reason = result.Image, result.Status, result.Error
	r.Log = append(r.Log, result.Log...)
	r.Results++
}

// publicKey asks the builder, as faas-cli does: the SDK leaves that to its user.
func publicKey(base *url.URL) (string, error) {
	response, err := http.Get(base.JoinPath("/publickey").String())
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the public key was answered with status code %d", response.StatusCode)
	}
	var document struct {
		PublicKey string `json:"public_key"`
	}
	err = json.NewDecoder(response.Body).Decode(&document)
	return document.PublicKey, err
}
