package tests

// tools/install.sh on machines that lack things. The machine is a folder of
// programs: real ones where the script only computes, and false ones, which
// write down how they are called, in place of apt-get and sudo.

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"alphaos/internal/vmtest"
)

// bareMachine makes a folder for PATH with the commands the script itself
// uses, and no others.
func bareMachine(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("installing with apt-get is for Linux")
	}
	bin := t.TempDir()
	for _, tool := range []string{"bash", "env", "sed", "sort", "dirname", "id", "uname", "grep", "cat"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// script puts a shell script into the machine.
func script(t *testing.T, bin, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!"+filepath.Join(bin, "bash")+"\n"+body), 0o777); err != nil {
		t.Fatal(err)
	}
}

// install runs the script in a machine where the firmware, the certificates
// and Go's usual places cannot be seen.
func install(t *testing.T, bin, step string, env ...string) (string, error) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(vmtest.Root(), "tools", "install.sh"))
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(filepath.Dir(bin), "repo")
	if err := os.MkdirAll(filepath.Join(repo, "tools"), 0o777); err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for _, place := range []string{"/usr/share/", "/usr/local/go", "/usr/lib/go", "/usr/bin/python3", "/etc/"} {
		if !strings.Contains(text, place) {
			t.Fatalf("install.sh does not look in %s: this test no longer shields it", place)
		}
		text = strings.ReplaceAll(text, place, filepath.Join(bin, "none")+place)
	}
	path := filepath.Join(repo, "tools", "install.sh")
	if err := os.WriteFile(path, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(vmtest.Root(), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo, "go.mod"), mod, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "bash"), path, step)
	cmd.Env = append([]string{"PATH=" + bin, "HOME=" + bin}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const fakeGo = `case "$1 $2" in
"env GOVERSION") echo go1.$MINOR.1;;
"version "*) echo go version;;
esac`

func TestInstallOnAFreshMachine(t *testing.T) {
	bin := bareMachine(t)
	// An apt-get that "installs" everything, Go included.
	script(t, bin, "apt-get", `echo "apt-get $*" >>"$LOG"
case "$*" in
*golang-1.23-go*) echo "#!`+filepath.Join(bin, "bash")+`
`+strings.ReplaceAll(strings.ReplaceAll(fakeGo, `"`, `\"`), "$", `\$`)+`" >"$BIN/go"; "$BIN/bash" -c 'exec /bin/chmod +x "$BIN/go"';;
esac`)
	script(t, bin, "apt-cache", `case $1 in pkgnames) printf 'golang-1.19-go\ngolang-1.23-go\ngolang-1.22-go\ngolang-1.9-doc\n';; esac`)
	script(t, bin, "sudo", `exec "$@"`)
	log := filepath.Join(t.TempDir(), "log")
	out, err := install(t, bin, "test", "LOG="+log, "BIN="+bin, "MINOR=23", "DISPLAY=:0")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"qemu-system-x86", "ovmf", "mtools", "dosfstools", "e2fsprogs", "gdisk", "xkb-data", "poppler-utils", "sqlite3", "cryptsetup-bin", "sbsigntool", "osslsigncode", "efitools", "openssl", "mpich-doc", "python3-jinja2", "ca-certificates", "golang-1.23-go"} {
		if !strings.Contains(string(calls), name) {
			t.Errorf("%s was not installed: %s", name, calls)
		}
		if !strings.Contains(out, "  "+name) {
			t.Errorf("%s was installed without saying why: %s", name, out)
		}
	}
	if !strings.Contains(string(calls), "apt-get update") {
		t.Errorf("the package lists were not fetched: %s", calls)
	}
	if strings.Contains(string(calls), "qemu-system-gui") {
		t.Errorf("a test needs no window: %s", calls)
	}
}

func TestInstallDoesNothingWhenAllIsThere(t *testing.T) {
	bin := bareMachine(t)
	script(t, bin, "apt-get", `echo "apt-get was called"; exit 1`)
	for _, tool := range []string{"qemu-system-x86_64", "mcopy", "fsck.fat", "mke2fs", "mkfs.exfat", "sfdisk", "parted", "zstd", "sgdisk", "pdftotext", "sqlite3", "cryptsetup", "sbverify", "osslsigncode", "cert-to-efi-sig-list", "openssl", "python3"} {
		script(t, bin, tool, "exit 0")
	}
	script(t, bin, "go", fakeGo)
	for _, there := range []string{"X11/xkb/symbols", "doc/bash-doc", "doc/debian-policy", "doc/developers-reference", "doc/mpich-doc", "doc/asymptote-doc"} {
		if err := os.MkdirAll(filepath.Join(bin, "none/usr/share", there), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []string{"build", "run", "test"} {
		out, err := install(t, bin, step, "MINOR=26", "ALPHAOS_OVMF_CODE=x", "SSL_CERT_FILE=x")
		if err != nil || out != "" {
			t.Errorf("%s: %v, %q; want silence", step, err, out)
		}
	}
	out, err := install(t, bin, "--go", "MINOR=26")
	if err != nil || out != filepath.Join(bin, "go")+"\n" {
		t.Errorf("--go: %q, %v", out, err)
	}
}

func TestInstallSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine func(bin string)
		env     []string
		want    []string
	}{
		{"Go too old and no newer package", func(bin string) {
			script(t, bin, "go", fakeGo)
			script(t, bin, "apt-get", "exit 0")
			script(t, bin, "apt-cache", `case $1 in pkgnames) echo golang-1.19-go;; policy) echo '  Candidate: 2:1.19~1';; esac`)
			script(t, bin, "sudo", `exec "$@"`)
		}, []string{"MINOR=19"}, []string{"offer only Go 1.19", "https://go.dev/dl/go", "tar -C /usr/local"}},
		{"no apt-get", func(bin string) {}, nil, []string{"no apt-get", "qemu-system-x86", "edk2-ovmf"}},
		{"apt-get fails", func(bin string) {
			script(t, bin, "go", fakeGo)
			script(t, bin, "apt-get", "echo E: broken >&2; exit 100")
			script(t, bin, "sudo", `exec "$@"`)
		}, []string{"MINOR=26"}, []string{"could not install", "ovmf"}},
		{"the toolchain cannot be fetched", func(bin string) {
			script(t, bin, "go", `case "$1" in env) echo go1.24.0;; *) echo "go: download go1.26: no such host" >&2; exit 1;; esac`)
			for _, tool := range []string{"qemu-system-x86_64", "mcopy"} {
				script(t, bin, tool, "exit 0")
			}
		}, []string{"ALPHAOS_OVMF_CODE=x", "SSL_CERT_FILE=x"}, []string{"no such host", "cannot fetch the Go", "go.dev/dl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := bareMachine(t)
			c.machine(bin)
			out, err := install(t, bin, "run", c.env...)
			if err == nil {
				t.Fatalf("succeeded: %s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.ReplaceAll(out, filepath.Join(bin, "none"), ""), want) {
					t.Errorf("it says %q; want %q in it", out, want)
				}
			}
		})
	}
}

func TestInstallWithoutSudo(t *testing.T) {
	bin := bareMachine(t)
	if err := os.Remove(filepath.Join(bin, "id")); err != nil {
		t.Fatal(err)
	}
	script(t, bin, "id", "echo 1000")
	script(t, bin, "apt-get", "exit 0")
	script(t, bin, "go", fakeGo)
	out, err := install(t, bin, "run", "MINOR=26")
	if err == nil || !strings.Contains(out, "no sudo") || !strings.Contains(out, "As root run:") {
		t.Errorf("%v, %q; want what root should run", err, out)
	}
}
