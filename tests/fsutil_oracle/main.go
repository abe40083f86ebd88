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

// Names are bytes, which JSON has in base64 only.
type question struct {
	Entries     []entry  `json:"entries"`
	Include     [][]byte `json:"include"`
	Exclude     [][]byte `json:"exclude"`
	FollowPaths [][]byte `json:"followPaths"`
}

type entry struct {
	Path     []byte   `json:"path"`
	Kind     string   `json:"kind"`
	Mode     uint32   `json:"mode"` // the twelve unix bits
	Mtime    int64    `json:"mtime"`
	Size     int64    `json:"size"`
	Linkname []byte   `json:"linkname"`
	Inode    int      `json:"inode"`
	Xattrs   []xattrs `json:"xattrs"`
}

type xattrs struct {
	Name  []byte `json:"name"`
	Value []byte `json:"value"`
}

type answer struct {
	Stats []stat `json:"stats"`
	Error string `json:"error,omitempty"`
}

type stat struct {
	Packet []byte `json:"packet"` // as fsutil sends it
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
		IncludePatterns: texts(q.Include),
		ExcludePatterns: texts(q.Exclude),
		FollowPaths:     texts(q.FollowPaths),
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
		s.Uid, s.Gid = 0, 0 // as buildctl sends them
		packet, err := (&types.Packet{Type: types.PACKET_STAT, Stat: s}).MarshalVT()
		if err != nil {
			return err
		}
		stats = append(stats, stat{packet})
		return nil
	})
	return stats, err
}

// texts keeps nil apart from an empty list, as the daemon's client does.
func texts(patterns [][]byte) []string {
	if patterns == nil {
		return nil
	}
	out := []string{}
	for _, pattern := range patterns {
		out = append(out, string(pattern))
	}
	return out
}

// materialise makes the entries, which come in order, parents first; times and modes are set from the
// last to the first, since making a file changes its directory.
func materialise(root string, entries []entry) error {
	firsts := map[int]string{}
	for _, e := range entries {
		path := filepath.Join(root, string(e.Path))
		var err error
		switch first := firsts[e.Inode]; {
		case e.Kind == "directory":
			err = os.Mkdir(path, 0o700)
		case e.Kind == "symlink":
			err = os.Symlink(string(e.Linkname), path)
		case e.Kind == "named pipe":
			err = unix.Mkfifo(path, 0o600)
		case e.Inode != 0 && first != "":
			err = os.Link(first, path)
		default:
			firsts[e.Inode] = path
			err = os.WriteFile(path, make([]byte, e.Size), 0o600)
		}
		if err != nil {
			return err
		}
		for _, x := range e.Xattrs {
			if err := unix.Lsetxattr(path, string(x.Name), x.Value, 0); err != nil {
				return err
			}
		}
	}
	for _, e := range slices.Backward(entries) {
		path := filepath.Join(root, string(e.Path))
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
