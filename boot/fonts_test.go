package boot

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/image/font/gofont/goregular"

	"alphaos/console"
)

// Of the fonts on a drive the good ones are used, and of each other one a sentence tells.
func TestReadFonts(t *testing.T) {
	var out bytes.Buffer
	con, err := console.New(console.Options{Serial: &out})
	if err != nil {
		t.Fatal(err)
	}
	s := &Start{Log: Log{now: func() time.Duration { return 0 }}}
	s.ReadFonts(con, fstest.MapFS{})
	if out.Len() > 0 {
		t.Errorf("without fonts: %q", out.String())
	}
	s.ReadFonts(con, fstest.MapFS{
		"fonts/Good.TTF":      {Data: goregular.TTF},
		"fonts/._Good.TTF":    {Data: []byte("macOS")},
		"fonts/readme.txt":    {Data: []byte("text")},
		"fonts/cut.ttf":       {Data: goregular.TTF[:300]},
		"fonts/sheet\x1b.ttf": {Data: []byte("PK\x03\x04")},
		"fonts/vast.otf":      {Data: make([]byte, maxFont+1)},
	})
	said := out.String()
	for _, want := range []string{"The font cut.ttf is not used: ", "The font sheet^[.ttf is not used: it is no TrueType or OpenType font, or it is damaged.", "The font vast.otf is not used: there is room for 25.2 MB at most"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "\n"); n != 3 {
		t.Errorf("%d sentences:\n%s", n, said)
	}
}
