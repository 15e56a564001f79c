package main

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// guestModules are what Debian's kernels have as modules and tests can make use of, each
// behind those that it needs: TLS, and the ciphers it asks for. What a kernel does not
// have is built in, or needed by others only.
var guestModules = []string{
	"gf128mul", "crypto_null", "cryptd", "crypto_simd", "ghash-generic", "gcm", "aesni-intel",
	"libpoly1305", "poly1305_generic", "libchacha", "chacha_generic", "chacha", "chacha20poly1305",
	"tls",
}

// modulesName is the directory of a kernel's modules in the cache.
const modulesName = "modules"

// moduleFile returns the name under which a file of a package is kept, "" for one that
// is none of guestModules. From 6.4 on they are compressed.
func moduleFile(name string) string {
	base := path.Base(name)
	module, ok := strings.CutSuffix(strings.TrimSuffix(base, ".xz"), ".ko")
	if !ok || !slices.Contains(guestModules, module) || !strings.Contains(name, "/kernel/") {
		return ""
	}
	return base
}

// modulesIn returns the files of guestModules in a directory, in their order.
func modulesIn(dir string) (files []string) {
	for _, m := range guestModules {
		for _, suffix := range []string{".ko", ".ko.xz"} {
			file := filepath.Join(dir, m+suffix)
			if _, err := os.Stat(file); err == nil {
				files = append(files, file)
			}
		}
	}
	return files
}

// extract writes what is needed of a package into a directory: the kernel, if it has
// one, and modules.
func extract(ctx context.Context, deb, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, modulesName), 0o755); err != nil {
		return err
	}
	cmd := command(ctx, "", "dpkg-deb", "--fsys-tarfile", deb)
	r, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return errors.Join(extractTar(tar.NewReader(r), dir), drain(r, cmd))
}

// drain waits for a command of which nothing more is wanted: dpkg-deb ends well only
// if all is read.
func drain(r io.Reader, cmd *exec.Cmd) error {
	_, _ = io.Copy(io.Discard, r)
	return cmd.Wait()
}

func extractTar(r *tar.Reader, dir string) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		to := ""
		if isImage(h.Name) {
			to = imageName
		} else if m := moduleFile(h.Name); m != "" {
			to = filepath.Join(modulesName, m)
		}
		if to == "" {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), content, 0o644); err != nil {
			return err
		}
	}
}
