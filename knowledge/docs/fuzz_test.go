package docs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzz reads what may be anything, in the file that wrap makes of it.
func fuzz(f *testing.F, name string, wrap func(s string) []byte, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if wrap != nil {
			b = wrap(string(b))
		}
		d, err := read(t, name, b)
		if err != nil {
			// Read would take a panic for damage.
			if strings.Contains(err.Error(), "does not understand") {
				t.Fatal(err)
			}
			return
		}
		total := 0
		for _, b := range d.Blocks {
			if b.Text == "" || !utf8.ValidString(b.Text) || strings.ContainsAny(b.Text, "\x00\r\x1b") {
				t.Fatalf("%q is no clean text", b.Text)
			}
			total += len(b.Text)
		}
		if total > MaxText {
			t.Fatalf("%d bytes", total)
		}
	})
}

func FuzzText(f *testing.F) { fuzz(f, "a.txt", nil, "A\n=\n\n- x\n    y\n", "\xff\xfea\x00") }
func FuzzMarkdown(f *testing.F) {
	fuzz(f, "a.md", nil, "# A\n| a | b |\n|--|--|\n| c | d |\n```x\ny\n```\n", "a|b\n-|-\nc")
}
func FuzzCSV(f *testing.F)  { fuzz(f, "a.csv", nil, "a;b\n\"c\nd\";e\n", "a\tb\n1\t2") }
func FuzzJSON(f *testing.F) { fuzz(f, "a.json", nil, `{"a":[1,{"b":null}],"c":"d"}`, "[[[1]]]") }
func FuzzCode(f *testing.F) { fuzz(f, "a.go", nil, "func f() {\n\tx\n}\n\ntype T int") }
func FuzzHTML(f *testing.F) { fuzz(f, "a.html", nil, page, "<table><tr><li><td><h1>x") }
func FuzzEPUB(f *testing.F) { fuzz(f, "a.epub", novel, page) }
func FuzzZip(f *testing.F) {
	fuzz(f, "a.docx", nil, string(wordFile("<w:p><w:t>x</w:t></w:p>")))
}
func FuzzDOCX(f *testing.F) {
	fuzz(f, "a.docx", wordFile, `<w:p><w:pPr><w:pStyle w:val="Title"/></w:pPr><w:t>x</w:t></w:p><w:tbl><w:tr><w:tc><w:p><w:t>a</w:t></w:p></w:tc></w:tr></w:tbl>`)
}
func FuzzXLSX(f *testing.F) {
	fuzz(f, "a.xlsx", bookFile, `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="ZZ1" s="1"><v>45000.5</v></c></row>`)
}
func FuzzPDF(f *testing.F) {
	files, err := filepath.Glob("testdata/*.pdf")
	if err != nil || len(files) == 0 {
		f.Fatal("no files", err)
	}
	var seeds []string
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, string(b))
	}
	fuzz(f, "a.pdf", nil, seeds...)
}

// FuzzPDFPage paints whatever it is told, with fonts of all kinds.
func FuzzPDFPage(f *testing.F) {
	fuzz(f, "a.pdf", func(s string) []byte {
		var b bytes.Buffer
		b.WriteString("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Kids[3 0 R]>>endobj\n" +
			"3 0 obj<</Type/Page/Contents 4 0 R/Resources<</Font<</F 5 0 R/G 6 0 R/H<</Subtype/Type3/FontMatrix[1 0 0 1 0 0]>>>>/XObject<</X 4 0 R>>>>>>endobj\n" +
			"5 0 obj<</Subtype/Type0/ToUnicode 4 0 R/DescendantFonts[<</W[1[2 3]4 9 500]>>]>>endobj\n6 0 obj<</Subtype/Type1/FontDescriptor<</FontFile 4 0 R/FontFile3 4 0 R>>>>endobj\n4 0 obj<<>>stream\n")
		b.WriteString(s)
		b.WriteString("\nendstream endobj\ntrailer<</Root 1 0 R>>")
		return b.Bytes()
	}, "BT /F 12 Tf 1 0 0 1 20 30 Tm (ab) Tj [(c) -500 (d)] TJ /G 3 Tf T* (e) ' 1 2 (f) \" ET /X Do q 2 0 0 2 0 0 cm Q",
		"begincodespacerange <00> <ff> endcodespacerange beginbfrange <01> <05> <0041> <06> <07> [<0042> <0043>] endbfrange", "/Encoding 256 array dup 65 /Aacute put readonly def", "BI /W 1 ID abc EI")
}
