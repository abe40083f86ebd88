package main

import (
	"archive/tar"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The name that go-sdk gives it (openfaas/go-sdk v0.3.0, builder/builder.go).
const configName = "com.openfaas.docker.config"

type buildConfig struct {
	Image     string            `json:"image"`
	BuildArgs map[string]string `json:"buildArgs"`
	SkipPush  bool              `json:"skipPush"`
}

func signed(body, secret []byte, header string) bool {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal([]byte("sha256="+hex.EncodeToString(mac.Sum(nil))), []byte(header))
}

func readConfig(path string) (buildConfig, error) {
	var config buildConfig
	document, err := os.ReadFile(path)
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(document, &config)
}

// unpack writes the tar below folder. Modification times are kept, as every tar program does.
func unpack(archive io.Reader, folder string) error {
	folders := map[string]time.Time{}
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		path := filepath.Join(folder, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
			folders[path] = header.ModTime
		case tar.TypeSymlink:
			err = os.Symlink(header.Linkname, path)
		case tar.TypeReg:
			err = writeFile(path, header, reader)
		default:
			err = fmt.Errorf("%s: type %c is not supported", header.Name, header.Typeflag)
		}
		if err != nil {
			return err
		}
	}
	// Last, because writing into a folder changes its time.
	for path, modified := range folders {
		if err := os.Chtimes(path, modified, modified); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, header *tar.Header, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Chtimes(path, header.ModTime, header.ModTime)
}
