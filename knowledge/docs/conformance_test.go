package docs

import (
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// debianPDFs are files of Debian's packages of documentation, made by several programs.
var debianPDFs = strings.Fields(`doc/bash/bash.pdf doc/bash/bashref.pdf doc/debian-policy/policy.pdf.gz doc/debian-policy/fhs/fhs-3.0.pdf.gz
	developers-reference/developers-reference.pdf doc/mpich/install.pdf.gz doc/mpich/user.pdf.gz
	doc/asymptote/CAD.pdf doc/asymptote/TeXShopAndAsymptote.pdf doc/asymptote/asy-latex.pdf doc/asymptote/asyRefCard.pdf`)

// What pdftotext takes from a PDF file is there, at least 95 of 100 words, and 95 of 100 that are there are from it.
func TestPDFsOfDebian(t *testing.T) {
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("pdftotext is not installed (package poppler-utils)")
	}
	compared := 0
	for _, name := range debianPDFs {
		b, err := packed(filepath.Join("/usr/share", name))
		if err != nil {
			t.Log(err)
			continue
		}
		compared++
		file := filepath.Join(t.TempDir(), "a.pdf")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("pdftotext", file, "-").Output()
		if err != nil {
			t.Fatalf("pdftotext %s: %v", name, err)
		}
		d, err := read(t, "a.pdf", b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var text strings.Builder
		for _, b := range d.Blocks {
			text.WriteString(b.Text)
			text.WriteByte('\n')
		}
		theirs, n := words(string(out))
		ours, m := words(text.String())
		both := 0
		for w, n := range theirs {
			both += min(n, ours[w])
		}
		t.Logf("%s: %.1f %% of pdftotext's words found, %.1f %% of the words are its", name, 100*float64(both)/float64(n), 100*float64(both)/float64(m))
		if 100*both < 95*n || 100*both < 95*m {
			t.Errorf("%s: of %d and %d words %d agree", name, n, m, both)
		}
	}
	if compared < 10 {
		t.Skipf("only %d of %d files are installed (packages bash-doc, debian-policy, developers-reference, mpich-doc, asymptote-doc)", compared, len(debianPDFs))
	}
}

func packed(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		return io.ReadAll(f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func words(s string) (map[string]int, int) {
	count, n := map[string]int{}, 0
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		count[strings.ToLower(w)]++
		n++
	}
	return count, n
}
