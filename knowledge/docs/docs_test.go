package docs

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t testing.TB, name string, b []byte) (*Document, error) {
	t.Helper()
	return Read(context.Background(), name, bytes.NewReader(b), int64(len(b)))
}

// told writes blocks as the tables below have them.
func told(d *Document) string {
	var s strings.Builder
	for _, b := range d.Blocks {
		kind := [...]string{"text", "heading", "item", "row", "code"}[b.Kind]
		if b.Kind == Heading {
			kind += fmt.Sprint(" ", b.Level)
		}
		fmt.Fprintf(&s, "%s (%s) %s\n", kind, b.Place, b.Text)
	}
	return s.String()
}

func zipped(parts ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func wordFile(body string) []byte {
	return zipped("word/document.xml", `<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="w"><w:body>`+body+`</w:body></w:document>`,
		"word/styles.xml", `<w:styles><w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style></w:styles>`)
}

func bookFile(sheet string) []byte {
	return zipped("xl/workbook.xml", `<workbook xmlns:r="r"><sheets><sheet name="Prices" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/sharedStrings.xml", `<sst><si><t>Article</t></si><si><t>Pri</t><r><t>ce</t></r></si><si><t>XC23</t><rPh><t>no</t></rPh></si></sst>`,
		"xl/styles.xml", `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>`,
		"xl/worksheets/sheet1.xml", `<worksheet><sheetData>`+sheet+`</sheetData></worksheet>`)
}

func novel(chapter string) []byte {
	return zipped("META-INF/container.xml", `<container><rootfiles><rootfile full-path="OEBPS/b.opf"/></rootfiles></container>`,
		"OEBPS/b.opf", `<package><metadata><dc:title>A Book</dc:title></metadata><manifest><item id="c" href="c%201.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/><itemref idref="gone"/></spine></package>`,
		"OEBPS/c 1.xhtml", chapter)
}

const page = `<html><head><title>T</title><style>p{}</style></head><body><h1>One</h1><p>Fish &amp; <b>chips</b>.<script>var x</script></p>
<h2>Two</h2><ul><li>a<li><p>b</p></li></ul><table><tr><th>Name</th><th>Price</th></tr><tr><td>XC23</td><td>4</td></tr></table><pre>x
  y</pre></body></html>`

func TestReaders(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"a.txt", []byte("Title\n=====\n\nA first line\nand its second.\r\n\n- one\n  goes on\n- two\n"),
			"heading 1 (line 1) Title\ntext (Title, line 4) A first line and its second.\nitem (Title, line 7) - one goes on\nitem (Title, line 9) - two\n"},
		{"latin.txt", []byte("Gr\xfc\xdfe \x96 aus K\xf6ln"), "text (line 1) Grüße – aus Köln\n"},
		{"utf16.txt", []byte("\xff\xfeH\x00i\x00\x2d\x4e"), "text (line 1) Hi中\n"},
		{"a.md", []byte("# Top #\nText\n\n## Sub\n1. one\n2. two\n\n| Name | Price |\n|---|--:|\n| XC23 | 4 |\n| XC24 | |\n\n```go\na\n\n  b\n```\nEnd\n"),
			"heading 1 (line 1) Top\ntext (Top, line 2) Text\nheading 2 (Top, line 4) Sub\nitem (Top › Sub, line 5) 1. one\nitem (Top › Sub, line 6) 2. two\n" +
				"row (Top › Sub, line 10) Name: XC23; Price: 4\nrow (Top › Sub, line 11) Name: XC24\ncode (Top › Sub, line 14) a\n\n  b\ntext (Top › Sub, line 18) End\n"},
		{"a.csv", []byte("Artikel;Preis\nXC23;\"4,50\"\n;\nXC24;7\n"), "row (row 1) Columns: Artikel, Preis\nrow (row 2) Artikel: XC23; Preis: 4,50\nrow (row 4) Artikel: XC24; Preis: 7\n"},
		{"a.json", []byte("{\"name\": \"n\",\n \"list\": [1, 2],\n \"in\": [{\"a\": true,\n \"b\": null}]}\n{\"x\": 1}"),
			"row (line 1) name: n\nrow (line 2) list: 1, 2\nrow (line 3) in: a: true; b: null\nrow (line 5) x: 1\n"},
		{"a.go", []byte("package p\n\nfunc F() {\n\treturn\n}\n"), "code (func F(), line 1) package p\n\nfunc F() {\n    return\n}\n"},
		{"a.html", []byte(page), "heading 1 () One\ntext (One) Fish & chips.\nheading 2 (One) Two\nitem (One › Two) a\nitem (One › Two) b\nrow (One › Two) Name: XC23; Price: 4\ncode (One › Two) x\n  y\n"},
		{"a.epub", novel(page), "heading 1 () One\ntext (One) Fish & chips.\nheading 2 (One) Two\nitem (One › Two) a\nitem (One › Two) b\nrow (One › Two) Name: XC23; Price: 4\ncode (One › Two) x\n  y\n"},
		{"a.docx", wordFile(`<w:p><w:pPr><w:pStyle w:val="Title"/></w:pPr><w:r><w:t>Top</w:t></w:r></w:p><w:p><w:pPr><w:pStyle w:val="berschrift2"/></w:pPr><w:r><w:t>Sub</w:t></w:r></w:p>
<w:p><w:r><w:t>Kept</w:t></w:r><w:del><w:r><w:t>not</w:t></w:r></w:del><w:r><w:br w:type="page"/><w:t>turned</w:t></w:r></w:p><w:p><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Name</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Price</w:t></w:r></w:p></w:tc></w:tr><w:tr><w:tc><w:p><w:r><w:t>XC23</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>4</w:t></w:r></w:p></w:tc></w:tr></w:tbl>`),
			"heading 1 (page 1) Top\nheading 2 (page 1, Top) Sub\ntext (page 1, Top › Sub) Kept turned\nitem (page 2, Top › Sub) item\nrow (page 2, Top › Sub) Name: XC23; Price: 4\n"},
		{"a.xlsx", bookFile(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="inlineStr"><is><t>Since</t></is></c></row><row r="3"><c r="A3" t="s"><v>2</v></c><c r="B3"><v>4.1000000000000005</v></c><c r="C3" s="1"><v>45000</v></c></row>`),
			"row (sheet Prices, row 1) Columns: Article, Price, Since\nrow (sheet Prices, row 3) Article: XC23; Price: 4.1; Since: 2023-03-15\n"},
	} {
		d, err := read(t, c.name, c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := told(d); got != c.want {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestPDF(t *testing.T) {
	for _, name := range []string{"packed.pdf", "rc4-40.pdf", "rc4-128.pdf", "aes-128.pdf", "aes-256.pdf"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		// Also when the table of its objects is lost.
		for _, file := range [][]byte{b, bytes.Replace(b, []byte("startxref"), []byte("startxxxx"), 1)} {
			if d, err := read(t, name, file); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if got := told(d); got != "text (page 1) The key is under the mat.\n" {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	password, err := os.ReadFile("testdata/password.pdf")
	if err != nil {
		t.Fatal(err)
	}
	scan := "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Kids[3 0 R]>>endobj\n3 0 obj<</Type/Page/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>>>endobj\n" +
		"4 0 obj<</Length 5>>stream\n/I Do\nendstream endobj\n5 0 obj<</Subtype/Image/Length 0>>stream\n\nendstream endobj\ntrailer<</Root 1 0 R>>"
	for _, c := range []struct {
		name string
		file []byte
		want error
		text string
	}{
		{"a.pdf", password, ErrPassword, "password"},
		{"a.pdf", []byte(scan), ErrScan, "scan"},
		{"a.pdf", []byte("%PDF-1.7\nnothing"), nil, "damaged"},
		{"a.pdf", []byte("hello"), nil, "not a PDF"},
		{"a.docx", []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1........"), ErrPassword, "password"},
		{"a.docx", zipped("x", "y"), nil, "no Word document"},
		{"a.xlsx", []byte("PK"), nil, "damaged"},
		{"a.epub", zipped("META-INF/container.xml", `<rootfile full-path="b"/>`, "META-INF/rights.xml", ""), nil, "DRM"},
		{"a.txt", []byte("\x00\x01\x02\x00\x00"), ErrBinary, "not text"},
		{"a.txt", []byte(" \n"), ErrEmpty, "no text"},
		{"a.doc", []byte("x"), nil, "save it as .docx"},
		{"a.jpg", []byte("x"), nil, "not read"},
		{"a.json", []byte("{"), nil, "not JSON"},
		{"a.json", []byte(strings.Repeat("[", 100000)), nil, "nested"},
	} {
		d, err := read(t, c.name, c.file)
		if err == nil {
			t.Errorf("%s: read as %q", c.name, told(d))
		} else if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Read(context.Background(), "a.txt", bytes.NewReader(nil), maxPlain+1); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// A small file that unpacks to a large one, one that is nested without end, and one that is just long.
func TestBombs(t *testing.T) {
	b := wordFile(strings.Repeat("<w:p/>", 1<<18))
	a, err := openArchive(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	a.budget = 1 << 20
	w := &writer{ctx: context.Background()}
	if _, err := a.xml("word/document.xml", w, &docxReader{w: w}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := read(t, "a.docx", wordFile(strings.Repeat("<w:p>", 20000))); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Error(err)
	}
	d, err := read(t, "a.txt", bytes.Repeat([]byte("All work and no play.\n\n"), 3<<20/2))
	if err != nil || d.Note == "" {
		t.Errorf("%v: more than %d MB of text are taken", err, MaxText>>20)
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, b := range map[string][]byte{"a.txt": []byte("x"), "a.docx": wordFile(""), "a.json": []byte("[1]")} {
		if _, err := Read(ctx, name, bytes.NewReader(b), int64(len(b))); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
