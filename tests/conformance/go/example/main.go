// Behaves as the published Go example does: a template and a handler made into a context, built without a stream.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/openfaas/go-sdk/builder"
)

func main() {
	image := os.Args[1]
	log.SetFlags(0)

	key, err := os.ReadFile("payload.txt")
	exitOn(err)
	base, err := url.Parse(os.Getenv("BUILDER_URL"))
	exitOn(err)

	context, err := builder.CreateBuildContext("hello", "./hello", "own", nil)
	exitOn(err)
	platforms := []string{"linux/amd64"}
	config := builder.BuildConfig{Image: image, Platforms: platforms, BuildArgs: map[string]string{}}
	exitOn(builder.MakeTar("req.tar", context, &config))

	secret := string(bytes.TrimSpace(key))
	sdk := builder.NewFunctionBuilder(base, http.DefaultClient, builder.WithHmacAuth(secret))
	result, err := sdk.Build("req.tar")
	exitOn(err)
	log.Printf("Image: %s built.", result.Image)
	for _, line := range result.Log {
		fmt.Println(line)
	}
}

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
