package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// kernel is one that can be booted.
type kernel struct {
	Name    string  // as asked for
	Package string  `json:",omitempty"`
	Version string  `json:",omitempty"` // of the package
	SHA256  string  // of the image
	Release release `json:"-"`
	Image   string  `json:"-"` // the path
	Modules string  `json:"-"` // the directory of its modules, "" for none
	Note    string  `json:",omitempty"`
}

// kernelCache keeps kernels, each in a directory called after the hash of its
// package: old versions vanish from mirrors.
type kernelCache struct {
	dir string
	apt apt
}

func openCache(dir string) kernelCache {
	return kernelCache{filepath.Join(dir, "kernels"), apt{filepath.Join(dir, "apt")}}
}

// get returns the kernels asked for. Those of which the mirror has no newer one are
// taken from the cache, also if there is no mirror.
func (c kernelCache) get(ctx context.Context, names []string, progress func(string, ...any)) ([]kernel, error) {
	var index []debPackage
	var indexErr error
	var found []kernel
	for _, name := range names {
		if strings.Contains(name, "/") {
			k, err := imageFile(name)
			if err != nil {
				return nil, err
			}
			found = append(found, k)
			continue
		}
		if index == nil && indexErr == nil {
			progress("looking up kernels in the mirror's index")
			index, indexErr = c.apt.index(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		k, err := c.one(ctx, name, index, indexErr, progress)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", name, err)
		}
		found = append(found, k)
	}
	return found, nil
}

func imageFile(name string) (kernel, error) {
	hash, err := hashFile(name)
	if err != nil {
		return kernel{}, err
	}
	return kernel{Name: filepath.Base(name), SHA256: hash, Image: name}, nil
}

func (c kernelCache) one(ctx context.Context, name string, index []debPackage, indexErr error, progress func(string, ...any)) (kernel, error) {
	w, err := parseWanted(name)
	if err != nil {
		return kernel{}, err
	}
	if p, ok := choose(index, w); ok {
		k, err := c.fetch(ctx, p, progress)
		k.Name = name
		return k, err
	}
	why := indexErr
	if why == nil {
		why = errors.New("the mirror has none")
	}
	p, ok := choose(c.cached(), w)
	if !ok {
		return kernel{}, why
	}
	k, err := c.load(p)
	first, _, _ := strings.Cut(why.Error(), "\n")
	k.Name, k.Note = name, "from the cache: "+first
	return k, err
}

// place is the directory of a package's kernel.
func (c kernelCache) place(p debPackage) string { return filepath.Join(c.dir, p.SHA256) }

const (
	imageName = "vmlinuz"
	infoName  = "package.json"
)

// cacheEntry is what is kept beside an image.
type cacheEntry struct {
	Name, Version, Image string // Image is the hash of the image
	Major, Minor         int
}

// cached returns the packages whose kernels are in the cache.
func (c kernelCache) cached() (all []debPackage) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil
	}
	for _, d := range entries {
		var e cacheEntry
		if text, err := os.ReadFile(filepath.Join(c.dir, d.Name(), infoName)); err == nil && json.Unmarshal(text, &e) == nil {
			all = append(all, debPackage{Name: e.Name, Version: e.Version, SHA256: d.Name(), Release: release{e.Major, e.Minor}})
		}
	}
	return all
}

// load takes a kernel from the cache, if it is there as it was put there.
func (c kernelCache) load(p debPackage) (kernel, error) {
	text, err := os.ReadFile(filepath.Join(c.place(p), infoName))
	if err != nil {
		return kernel{}, err
	}
	var e cacheEntry
	if err := json.Unmarshal(text, &e); err != nil {
		return kernel{}, err
	}
	image := filepath.Join(c.place(p), imageName)
	hash, err := hashFile(image)
	if err != nil {
		return kernel{}, err
	}
	if hash != e.Image {
		return kernel{}, fmt.Errorf("%s is damaged", image)
	}
	k := kernel{Package: e.Name, Version: e.Version, SHA256: hash, Release: p.Release, Image: image}
	if dir := filepath.Join(c.place(p), modulesName); len(modulesIn(dir)) > 0 {
		k.Modules = dir
	}
	return k, nil
}

// fetch takes a kernel from the cache, else from the mirror.
func (c kernelCache) fetch(ctx context.Context, p debPackage, progress func(string, ...any)) (kernel, error) {
	if k, err := c.load(p); err == nil && k.Modules != "" {
		return k, nil
	}
	progress("fetching %s %s, %d MB", p.Name, p.Version, p.Size>>20)
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return kernel{}, err
	}
	work, err := os.MkdirTemp(c.dir, "fetch-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(work)
	for _, p := range append([]debPackage{p}, p.Parts...) {
		if err := c.unpack(ctx, p, work); err != nil {
			return kernel{}, err
		}
	}
	hash, err := hashFile(filepath.Join(work, imageName))
	if err != nil {
		return kernel{}, fmt.Errorf("%s has no kernel in it: %w", p.Name, err)
	}
	text, err := json.Marshal(cacheEntry{p.Name, p.Version, hash, p.Release.major, p.Release.minor})
	if err != nil {
		return kernel{}, err
	}
	if err := os.WriteFile(filepath.Join(work, infoName), text, 0o644); err != nil {
		return kernel{}, err
	}
	// Whatever is there already is damaged, or was put there in the meantime.
	if err := os.RemoveAll(c.place(p)); err != nil {
		return kernel{}, err
	}
	if err := os.Rename(work, c.place(p)); err != nil {
		return kernel{}, err
	}
	return c.load(p)
}

// unpack fetches a package and leaves in the directory what is needed of it.
func (c kernelCache) unpack(ctx context.Context, p debPackage, dir string) error {
	deb, err := c.apt.download(ctx, p, dir)
	if err != nil {
		return err
	}
	if hash, err := hashFile(deb); err != nil || hash != p.SHA256 {
		return fmt.Errorf("%s has hash %s, the index says %s (%v)", filepath.Base(deb), hash, p.SHA256, err)
	}
	if err := extract(ctx, deb, dir); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(deb), err)
	}
	return os.Remove(deb)
}

// isImage says whether a path in a package is that of the kernel:
// boot/vmlinuz-VERSION, and from 6.19 on usr/lib/modules/VERSION/vmlinuz.
func isImage(name string) bool {
	name = path.Clean("/" + name)
	older, _ := path.Match("/boot/vmlinuz-*", name)
	newer, _ := path.Match("/usr/lib/modules/*/vmlinuz", name)
	return older || newer
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
