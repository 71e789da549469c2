package deploy_test

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
)

// block is a fenced block of a page, with its info string and its text.
type block struct{ page, info, text string }

// pages returns all pages of the repository.
func pages(t *testing.T) []string { t.Helper(); return filesNamed(t, ".md") }

// filesNamed returns the files of the repository whose names have the suffix, also if git does not know the repository.
func filesNamed(t *testing.T, suffix string) (files []string) {
	t.Helper()
	built := []string{".git", "node_modules", "bin", "dist"} // what .gitignore lists, and git itself
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains(built, d.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, suffix) {
			files = append(files, strings.TrimPrefix(path, "../"))
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files *%s: %v", len(files), suffix, err)
	}
	return files
}

func blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for _, page := range pages(t) {
		text := slurp(t, "../"+page)
		for _, m := range regexp.MustCompile("(?ms)^ *```([a-z][^\n]*)\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
			all = append(all, block{page, m[1], m[2]})
		}
		if strings.Count(text, "```")%2 != 0 {
			t.Errorf("%s: a block has no end", page)
		}
	}
	return all
}

// TestDocsCommands runs the commands of every page, in their order and in one directory per page, next to a running service
// whose addresses replace the default ones. Chinese pages have the commands of the English ones, as TestLanguages says.
func TestDocsCommands(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef"
	c := newComposed(t, "ADMIN_TOKEN="+token)
	replica := c.replicas[0]
	if err := c.guest().land(testworld.Provider); err != nil {
		t.Fatal(err)
	}
	for range c.replicas { // nginx alternates between the replicas: each logs a landing
		if err := c.guest().land(testworld.Provider); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), replica.env...)
	env = append(env, "PATH="+c.programs+":"+os.Getenv("PATH"), "KUBECONFIG=/dev/null")
	variables := map[string]string{}
	for _, assignment := range replica.env {
		name, value, _ := strings.Cut(assignment, "=")
		variables[name] = value
	}
	dirs := map[string]string{}
	n := 0
	for _, b := range blocks(t) {
		translated := slices.ContainsFunc(translations(t), func(pair translation) bool { return pair.chinese == b.page })
		switch {
		case translated:
		case b.info == "sh":
			if dirs[b.page] == "" {
				dirs[b.page] = docsDir(t, variables, token)
			}
			n++
			runBlock(t, b, dirs[b.page], env, replica)
		case b.info == "sh in the checkout":
			n++
			runBlock(t, b, "..", os.Environ(), replica)
		case strings.HasPrefix(b.info, "sh by "):
			if name := strings.TrimPrefix(b.info, "sh by "); !allTests(t)[name] {
				t.Errorf("%s: a block is run by %s, which is no test", b.page, name)
			}
		case !slices.Contains([]string{"text", "nginx", "go", "js", "mermaid"}, b.info):
			t.Errorf("%s: a block is marked %q", b.page, b.info)
		}
	}
	if n < 10 {
		t.Errorf("%d blocks were run", n)
	}
}

// docsDir returns a directory with the files that the commands read.
func docsDir(t *testing.T, variables map[string]string, token string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy/kubernetes"), os.DirFS("kubernetes")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"redis-url": variables["REDIS_URL"], "admin-token": token,
		"alipay-app-private-key": slurp(t, variables["ALIPAY_APP_PRIVATE_KEY_FILE"]), "alipay-public-key": slurp(t, variables["ALIPAY_PUBLIC_KEY_FILE"])} {
		write(t, filepath.Join(dir, name), text)
	}
	const keys = "openssl rand -base64 32 > seal-keys && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out assertion-keys.pem"
	made := exec.Command("sh", "-ec", keys)
	made.Dir = dir
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func runBlock(t *testing.T, b block, dir string, env []string, at *member) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(b.text, "http://127.0.0.1:9090", at.internal))
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", b.page, err, b.text, out)
	} else if len(out) == 0 && strings.Contains(b.text, "curl") {
		t.Errorf("%s: no output of\n%s", b.page, b.text)
	}
}

// allTests returns the names of the module's tests.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, file := range filesNamed(t, "_test.go") {
		for _, m := range declared.FindAllStringSubmatch(slurp(t, "../"+file), -1) {
			names[m[1]] = true
		}
	}
	return names
}

func TestDocsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	known := allTests(t)
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(slurp(t, "../"+page), -1) {
			if !known[m[1]] && m[1] != "TestName" {
				t.Errorf("%s names %s, which is no test", page, m[1])
			}
		}
	}
}

func TestDocsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(slurp(t, "../"+page), -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

func TestTroubleshootingNamesEveryCode(t *testing.T) {
	t.Parallel()
	text := slurp(t, "../docs/troubleshooting.md")
	codes := map[string]bool{"internal": true}
	for _, m := range regexp.MustCompile(`(?m)^\t\{\w+(?:\.\w+)?, "([a-z_]+)", http\.Status`).FindAllStringSubmatch(slurp(t, "../internal/handler/problem.go"), -1) {
		codes[m[1]] = true
	}
	if len(codes) < 30 {
		t.Fatalf("problem.go has %d codes", len(codes))
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("docs/troubleshooting.md has no row for `%s`; add one there and to docs/zh/troubleshooting.md", code)
		}
	}
}

// TestContainerExample: a proxy on the same machine can reach both listeners of the example's container, and no other
// machine can.
func TestContainerExample(t *testing.T) {
	t.Parallel()
	example := regexp.MustCompile(`docker run (?:.*\\\n)*.*`).FindString(slurp(t, "../docs/operations.md"))
	var published []string
	for _, m := range regexp.MustCompile(`-p (\S+)`).FindAllStringSubmatch(example, -1) {
		published = append(published, m[1])
	}
	if want := []string{"127.0.0.1:8080:8080", "127.0.0.1:9090:9090"}; !slices.Equal(published, want) || !strings.Contains(example, " -e INTERNAL_LISTEN=:9090 ") {
		t.Errorf("got %s, want %q published, and the internal listener on all of the container's addresses", example, want)
	}
}

func TestLicences(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--all"}} {
		out, err := exec.Command("../scripts/licences", args...).Output()
		if err != nil {
			t.Errorf("scripts/licences %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if !strings.Contains(string(out), "github.com/redis/go-redis/v9 ") {
			t.Errorf("go-redis is not in the list:\n%s", out)
		}
	}
}

// TestLicencesOfTheModulesBelow checks that the script also reads the modules below this one.
func TestLicencesOfTheModulesBelow(t *testing.T) {
	t.Parallel()
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
	for _, row := range []struct {
		licence string
		ok      bool
		says    string
	}{
		{mit, true, "MIT            odd.example/odd v1.0.0\n"},
		{"Look at it, and touch nothing.", false, "unknown        odd.example/odd v1.0.0\n"},
	} {
		checkout, proxy := t.TempDir(), t.TempDir()
		for name, text := range map[string]string{
			"scripts/licences": slurp(t, "../scripts/licences"), "go.mod": "module whole.example\n\ngo 1.26\n", "whole.go": "package whole\n",
			"below/go.mod":   "module below.example\n\ngo 1.26\n\nrequire odd.example/odd v1.0.0\n\nrequire beside.example v0.0.0\n\nreplace beside.example => ../beside\n",
			"below/below.go": "package below\n\nimport (\n\t_ \"beside.example\"\n\t_ \"odd.example/odd\"\n)\n",
			"beside/go.mod":  "module beside.example\n\ngo 1.26\n", "beside/beside.go": "package beside\n",
		} {
			writeBelow(t, checkout, name, text)
		}
		zipped := &bytes.Buffer{}
		z := zip.NewWriter(zipped)
		for name, text := range map[string]string{"go.mod": "module odd.example/odd\n", "odd.go": "package odd\n", "LICENSE": row.licence} {
			f, err := z.Create("odd.example/odd@v1.0.0/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": "module odd.example/odd\n", "v1.0.0.zip": zipped.String()} {
			writeBelow(t, proxy, "odd.example/odd/@v/"+name, text)
		}
		licences := exec.Command("bash", filepath.Join(checkout, "scripts/licences"), "--all")
		licences.Env = append(os.Environ(), "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-mod=mod -modcacherw", "GOWORK=off")
		out, err := licences.CombinedOutput()
		if (err == nil) != row.ok || !strings.Contains(string(out), row.says) || strings.Contains(string(out), "beside.example") {
			t.Errorf("a licence that says %q: %v\n%s", row.licence, err, out)
		}
	}
}

// writeBelow writes a file and the directories above it.
func writeBelow(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), text)
}
