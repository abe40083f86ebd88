// Answers what BuildKit's own file sync would show of a tree: the reference for builder-fn/fsutil.
//
// Every line of the input is a question and gets one line of output. The tree is made on disk and
// walked as buildctl does it: fsutil's filters, then its hard link reset, then its order validator.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gofs "io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sys/unix"
)

type question struct {
	Entries     []entry  `json:"entries"`
	Include     []string `json:"include"`
	Exclude     []string `json:"exclude"`
	FollowPaths []string `json:"followPaths"`
}

type entry struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Mode     uint32 `json:"mode"` // the twelve unix bits
	Mtime    int64  `json:"mtime"`
	Size     int64  `json:"size"`
	Linkname string `json:"linkname"`
	Inode    int    `json:"inode"`
}

type answer struct {
	Stats []stat `json:"stats"`
	Error string `json:"error,omitempty"`
}

type stat struct {
	Path     string `json:"path"`
	Mode     uint32 `json:"mode"`
	Size     int64  `json:"size"`
	ModTime  int64  `json:"modTime"`
	Linkname string `json:"linkname"`
}

func main() {
	questions := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for questions.More() {
		var q question
		must(questions.Decode(&q))
		stats, err := ask(q)
		a := answer{Stats: stats}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		must(answers.Encode(a))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(q question) ([]stat, error) {
	root, err := os.MkdirTemp("", "fsutil-oracle")
	must(err)
	defer os.RemoveAll(root)
	must(materialise(root, q.Entries))

	fs, err := fsutil.NewFS(root)
	must(err)
	fs, err = fsutil.NewFilterFS(fs, &fsutil.FilterOpt{
		IncludePatterns: q.Include,
		ExcludePatterns: q.Exclude,
		FollowPaths:     q.FollowPaths,
	})
	if err != nil {
		return nil, err
	}
	stats := []stat{}
	var order fsutil.Validator
	err = fsutil.WithHardlinkReset(fs).Walk(context.Background(), "/", func(path string, d gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := order.HandleChange(fsutil.ChangeKindAdd, path, info, nil); err != nil {
			return err
		}
		s, ok := info.Sys().(*types.Stat)
		if !ok {
			return errors.New("no stat")
		}
		stats = append(stats, stat{s.Path, s.Mode, s.Size, s.ModTime, s.Linkname})
		return nil
	})
	return stats, err
}

// materialise makes the entries, which come in order, parents first; times and modes are set from the
// last to the first, since making a file changes its directory.
func materialise(root string, entries []entry) error {
	firsts := map[int]string{}
	for _, e := range entries {
		path := filepath.Join(root, e.Path)
		var err error
		switch first := firsts[e.Inode]; {
		case e.Kind == "directory":
			err = os.Mkdir(path, 0o700)
		case e.Kind == "symlink":
			err = os.Symlink(e.Linkname, path)
		case e.Inode != 0 && first != "":
			err = os.Link(first, path)
		default:
			firsts[e.Inode] = path
			err = os.WriteFile(path, make([]byte, e.Size), 0o600)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range slices.Backward(entries) {
		path := filepath.Join(root, e.Path)
		if e.Kind != "symlink" {
			// The syscall takes the unix bits as they are; os.Chmod would want Go's.
			if err := unix.Chmod(path, e.Mode); err != nil {
				return err
			}
		}
		if err := setTime(path, e.Mtime); err != nil {
			return err
		}
	}
	return nil
}

// setTime sets a link's own time too.
func setTime(path string, nanoseconds int64) error {
	time := unix.NsecToTimespec(nanoseconds)
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{time, time}, unix.AT_SYMLINK_NOFOLLOW)
}
