package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// span is what part of a build's time something took, in Unix seconds.
type span struct {
	Began float64 `json:"began"`
	Ended float64 `json:"ended"`
}

// serveBare tells how little a build can take: the context lies in memory, decoded, before the clock
// starts; no log is made while it runs; and it stops as soon as the registry has the image, or else
// the daemon has ended.
func (s *server) serveBare(ctx context.Context, body []byte) (answer, error) {
	files, config, err := index(bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	options := client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
		SharedKey:     "bare",
	}
	if !config.SkipPush {
		options.Exports = []client.ExportEntry{{
			Type:  client.ExporterImage,
			Attrs: map[string]string{"name": config.Image, "push": "true"},
		}}
	}
	seen := watched{began: time.Now(), names: map[string]string{}, cached: map[string]bool{}}
	statuses := make(chan *client.SolveStatus)
	failed := make(chan error, 1)
	go func() {
		// Not ended with the answer: the daemon still writes its history then.
		_, err := s.buildkit.Solve(context.WithoutCancel(ctx), nil, options, statuses)
		failed <- err
	}()
	for status := range statuses {
		seen.update(status)
		if seen.pushed {
			go func() {
				for range statuses {
				}
			}()
			return seen.answer(config.Image, time.Now()), nil
		}
	}
	err = <-failed
	return seen.answer(config.Image, time.Now()), err
}

// watched is what Status has said of a build.
type watched struct {
	began, first, last time.Time
	order              []string
	names              map[string]string // by vertex
	cached             map[string]bool
	pushing            string // the vertex of the push
	pushed             bool
}

func (w *watched) update(status *client.SolveStatus) {
	for _, each := range status.Statuses {
		if strings.HasPrefix(each.ID, "pushing manifest for ") && each.Completed != nil {
			w.pushing = string(each.Vertex)
		}
	}
	for _, vertex := range status.Vertexes {
		w.updateVertex(vertex)
	}
}

func (w *watched) updateVertex(vertex *client.Vertex) {
	if vertex.Started == nil {
		return
	}
	digest := string(vertex.Digest)
	if _, known := w.names[digest]; !known {
		w.order = append(w.order, digest)
	}
	w.names[digest] = vertex.Name
	w.cached[digest] = w.cached[digest] || vertex.Cached
	// A vertex may come with the times of an earlier build.
	if vertex.Started.After(w.began) && (w.first.IsZero() || vertex.Started.Before(w.first)) {
		w.first = *vertex.Started
	}
	if vertex.Completed == nil {
		return
	}
	if vertex.Completed.After(w.last) {
		w.last = *vertex.Completed
	}
	// The vertex of an export runs twice, and completes the second time after its push.
	w.pushed = w.pushed || (digest == w.pushing && vertex.Error == "")
}

func (w *watched) answer(image string, ended time.Time) answer {
	var log []string
	for number, digest := range w.order {
		log = append(log, fmt.Sprintf("#%d %s", number, w.names[digest]))
		if w.cached[digest] {
			log = append(log, fmt.Sprintf("#%d CACHED", number))
		}
	}
	return answer{
		Image:  image,
		Log:    log,
		Client: &span{Began: seconds(w.began), Ended: seconds(ended)},
		Daemon: &span{Began: seconds(w.first), Ended: seconds(w.last)},
	}
}

func seconds(at time.Time) float64 {
	return float64(at.UnixNano()) / 1e9
}

// tree is a file system in memory.
type tree struct {
	files map[string]*file
	paths []string // in the order that a walk has: a folder, then what stands in it
}

type file struct {
	stat    *types.Stat
	content []byte
}

// index makes a tree of the tar.
func index(archive io.Reader) (*tree, buildConfig, error) {
	var config buildConfig
	found := &tree{files: map[string]*file{}}
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			found.sort()
			return found, config, nil
		}
		if err != nil {
			return nil, config, err
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, config, err
		}
		if header.Name == configName {
			if err := json.Unmarshal(content, &config); err != nil {
				return nil, config, err
			}
		}
		path, inside := strings.CutPrefix(strings.TrimSuffix(header.Name, "/"), "context/")
		if inside {
			found.add(path, header, content)
		}
	}
}

func (t *tree) add(path string, header *tar.Header, content []byte) {
	mode := header.FileInfo().Mode()
	t.files[path] = &file{
		stat: &types.Stat{
			Path:    path,
			Mode:    uint32(mode),
			ModTime: header.ModTime.UnixNano(),
			Size:    int64(len(content)),
		},
		content: content,
	}
	t.paths = append(t.paths, path)
}

func (t *tree) sort() {
	slices.SortFunc(t.paths, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
}

// Walk is fsutil.FS's: the target, and what stands in it.
func (t *tree) Walk(_ context.Context, target string, visit fs.WalkDirFunc) error {
	target = strings.Trim(path.Clean("/"+target), "/")
	skipped := "" // what the paths begin with that are left out
	for _, path := range t.paths {
		if skipped != "" && strings.HasPrefix(path, skipped) {
			continue
		}
		if target != "" && path != target && !strings.HasPrefix(path, target+"/") {
			continue
		}
		err := visit(path, &fsutil.DirEntryInfo{Stat: t.files[path].stat}, nil)
		if errors.Is(err, filepath.SkipDir) {
			skipped = path + "/"
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Open is fsutil.FS's.
func (t *tree) Open(path string) (io.ReadCloser, error) {
	if found, ok := t.files[path]; ok {
		return io.NopCloser(bytes.NewReader(found.content)), nil
	}
	return nil, os.ErrNotExist
}
