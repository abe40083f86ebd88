package main

import (
	"bytes"
	"context"
	"os"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"
)

// build returns the image's digest and the log as `buildctl --progress=plain` prints it.
func build(
	ctx context.Context, buildkit *client.Client, folder string, wanted buildConfig,
) (string, []string, error) {
	mount, err := fsutil.NewFS(folder)
	if err != nil {
		return "", nil, err
	}
	credentials := authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(os.Stderr)),
	})
	options := client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{},
		LocalMounts:   map[string]fsutil.FS{"context": mount, "dockerfile": mount},
		Session:       []session.Attachable{credentials},
		// Its own place among the daemon's synced folders, so that neither buildctl's uploads nor
		// its own make the other's larger or smaller.
		SharedKey: "rival",
	}
	if !wanted.SkipPush {
		options.Exports = []client.ExportEntry{{
			Type:  client.ExporterImage,
			Attrs: map[string]string{"name": wanted.Image, "push": "true"},
		}}
	}
	for name, value := range wanted.BuildArgs {
		options.FrontendAttrs["build-arg:"+name] = value
	}
	return solve(ctx, buildkit, options)
}

func solve(ctx context.Context, buildkit *client.Client, options client.SolveOpt) (string, []string, error) {
	var printed bytes.Buffer
	display, err := progressui.NewDisplay(&printed, progressui.PlainMode)
	if err != nil {
		return "", nil, err
	}
	statuses := make(chan *client.SolveStatus)
	shown := make(chan error, 1)
	go func() {
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), statuses)
		shown <- err
	}()
	response, err := buildkit.Solve(ctx, nil, options, statuses)
	if shownErr := <-shown; err == nil {
		err = shownErr
	}
	lines := strings.Split(strings.TrimSpace(printed.String()), "\n")
	if err != nil {
		return "", lines, err
	}
	return response.ExporterResponse["containerimage.digest"], lines, nil
}
