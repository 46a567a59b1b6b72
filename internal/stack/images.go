package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// image is one Docker image: a Dockerfile and the files it copies. Its tag is
// a hash of them, so that what exists need not be built, and what changed gets
// another name.
type image struct {
	name       string
	dockerfile string            // relative to the checkout
	files      map[string]string // name in the build context → file or folder
}

// imageRefs are the references that the jobs are run with.
type imageRefs struct{ postgres, edge, gateway, provisioner, whatsappsim, slice string }

// buildImages builds every image that does not exist yet.
func (c *Config) buildImages(ctx context.Context) (refs imageRefs, note string, err error) {
	var web, waJS string
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.buildPrograms(gctx) })
	g.Go(func() (err error) {
		// One after the other: npm alone keeps a core busy.
		if waJS, err = c.fetchWAJS(gctx); err != nil {
			return err
		}
		web, err = c.buildWeb(gctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return refs, "", err
	}

	src := func(elem ...string) string { return filepath.Join(append([]string{c.SourceDir}, elem...)...) }
	images := []struct {
		image
		ref *string
	}{
		{image{"slice", "images/slice/Dockerfile", map[string]string{"slice": c.path("bin", "slice"), "wa-js.js": waJS}}, &refs.slice},
		{image{"postgres", "images/postgres/Dockerfile", map[string]string{
			"entrypoint.sh": src("images/postgres/entrypoint.sh"), "pg_hba.conf": src("images/postgres/pg_hba.conf")}}, &refs.postgres},
		{image{"edge", "images/edge/Dockerfile", map[string]string{"nginx.conf": src("edge/nginx.conf"), "web": web}}, &refs.edge},
		{image{"gateway", "images/program/Dockerfile", map[string]string{"program": c.path("bin", "gateway")}}, &refs.gateway},
		{image{"provisioner", "images/program/Dockerfile", map[string]string{"program": c.path("bin", "provisioner")}}, &refs.provisioner},
		{image{"whatsappsim", "images/program/Dockerfile", map[string]string{"program": c.path("bin", "whatsappsim")}}, &refs.whatsappsim},
	}
	const atOnce = 3 // mostly waiting for packages
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	built := make([]bool, len(images))
	for i, img := range images {
		g.Go(func() (err error) {
			*img.ref, built[i], err = c.buildImage(gctx, img.image)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return refs, "", err
	}
	var names []string
	for i, img := range images {
		if built[i] {
			names = append(names, img.name)
		}
	}
	if names == nil {
		return refs, "all built before", nil
	}
	return refs, "built " + strings.Join(names, ", "), nil
}

func (c *Config) buildImage(ctx context.Context, img image) (ref string, built bool, err error) {
	build, err := os.MkdirTemp(c.path(), "build-")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(build)
	for name, from := range img.files {
		if err := copyTree(from, filepath.Join(build, name)); err != nil {
			return "", false, fmt.Errorf("image %s: %w", img.name, err)
		}
	}
	dockerfile := filepath.Join(c.SourceDir, img.dockerfile)
	if err := copyTree(dockerfile, filepath.Join(build, "Dockerfile")); err != nil {
		return "", false, fmt.Errorf("image %s: %w", img.name, err)
	}
	hash, err := hashTree(build)
	if err != nil {
		return "", false, fmt.Errorf("image %s: %w", img.name, err)
	}
	ref = "ipnoelp/" + img.name + ":" + hash
	if imageExists(ctx, ref) {
		return ref, false, nil
	}
	if err := c.run(ctx, "image-"+img.name, build, nil, "docker", "build", "-t", ref, "."); err != nil {
		return "", false, err
	}
	return ref, true, nil
}

// buildPrograms builds the static binaries that go into the images.
func (c *Config) buildPrograms(ctx context.Context) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", c.path("bin") + "/",
		"./cmd/gateway", "./cmd/provisioner", "./cmd/slice", "./cmd/whatsappsim"}
	return c.run(ctx, "build-programs", c.SourceDir, []string{"CGO_ENABLED=0"}, "go", args...)
}

// buildWeb returns the folder of the built SPA, built once for each state of
// its sources.
func (c *Config) buildWeb(ctx context.Context) (string, error) {
	return c.npmBuild(ctx, "web", filepath.Join(c.SourceDir, "web"), "dist", []string{"run", "build"})
}

// fetchWAJS returns the file of the pinned wa-js bundle.
func (c *Config) fetchWAJS(ctx context.Context) (string, error) {
	return c.npmBuild(ctx, "wa-js", filepath.Join(c.SourceDir, "images", "slice"), "node_modules/@wppconnect/wa-js/dist/wppconnect-wa.js", nil)
}

// npmBuild copies a Node project aside, installs what its lock file names,
// runs the script, and returns the path of the result, which is kept by the
// hash of the sources.
func (c *Config) npmBuild(ctx context.Context, name, source, result string, script []string) (string, error) {
	work, err := os.MkdirTemp(c.path(), "npm-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := copyTree(source, work); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	hash, err := hashTree(work)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	kept := filepath.Join(c.CacheDir, name+"-"+hash)
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	}
	if err := c.npmInstall(ctx, name, work); err != nil {
		return "", err
	}
	if script != nil {
		if err := c.run(ctx, name+"-build", work, nil, "npm", script...); err != nil {
			return "", err
		}
	}
	part := kept + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	if err := copyTree(filepath.Join(work, result), part); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return kept, os.Rename(part, kept)
}

// npmInstall installs what a lock file names, from npm's cache where that has
// it. A transfer can stall for good: then it is tried once more.
func (c *Config) npmInstall(ctx context.Context, name, dir string) error {
	const timeout = 3 * time.Minute
	attempt := func() error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return c.run(ctx, name+"-install", dir, nil, "npm", "ci", "--prefer-offline", "--fetch-timeout=20000",
			"--no-audit", "--no-fund", "--ignore-scripts")
	}
	err := attempt()
	if err != nil && ctx.Err() == nil {
		err = attempt()
	}
	return err
}

// notSources are folders of a checkout that builds and tests leave behind.
var notSources = map[string]bool{"node_modules": true, "dist": true, "test-results": true, "playwright-report": true}

// copyTree copies a file or a folder without what builds left in it.
func copyTree(from, to string) error {
	root := filepath.Clean(from)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		switch {
		case d.IsDir() && rel != "." && notSources[d.Name()]:
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(dst, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		return copyFile(path, dst)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, st.Mode().Perm()|0o444)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// hashTree is a short hash of the names, modes and contents below a folder.
func hashTree(dir string) (string, error) {
	h := sha256.New()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	sort.Strings(files)
	for _, file := range files {
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return "", err
		}
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		st, err := f.Stat()
		if err != nil {
			f.Close()
			return "", err
		}
		fmt.Fprintf(h, "%s %t %d\n", rel, st.Mode()&0o111 != 0, st.Size())
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
