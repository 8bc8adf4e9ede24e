package console

import (
	"bytes"
	"testing"
	"unicode"
)

// What is shown for a character never says something else: characters that people tell apart look
// different, and different from the box that stands for what is missing.
func TestSubstitutesKeepTheirMeaning(t *testing.T) {
	g, err := newGlyphs(11, 25, &clusters{})
	if err != nil {
		t.Fatal(err)
	}
	picture := func(s string) []byte {
		pair := g.draw(g.table.id(s), regular, textWidth(s) == 2)
		return append(append([]byte(nil), pair[0]...), pair[1]...)
	}
	box, wide := picture("\U000F0000"), picture("中")
	for _, group := range [][]string{
		{"☺", "☹"}, {"🙂", "🙁"}, {"✓", "√", "✗", "×"}, {"✅", "❌"}, {"☐", "☒", "■"}, {"★", "☆", "*"},
		{"→", "⇒", "↦", "↪"}, {"←", "⇐", "⏎"}, {"↔", "⇔"}, {"↑", "⇑"}, {"↓", "⇓"},
		{"∇", "▼", "△", "▲"}, {"▷", "►", "◁", "◄"}, {"≪", "«", "<"}, {"≫", "»", ">"}, {"≈", "≃", "≅", "~", "="},
		{"1", "①", "1\uFE0F\u20E3", "!"}, {"❷", "2", "①"}, {"○", "◎", "●"}, {"⚠", "‼", "△"},
	} {
		for i, a := range group {
			p := picture(a)
			if len(bytes.Trim(p, "\x00")) == 0 || bytes.Equal(p, box) || bytes.Equal(p, wide) {
				t.Errorf("%s is not shown", a)
			}
			for _, b := range group[:i] {
				if bytes.Equal(p, picture(b)) {
					t.Errorf("%s looks like %s", a, b)
				}
			}
		}
	}
	for _, s := range []string{"♩", "💔", "😢", "😂", "😈", "⅓"} {
		if p := picture(s); !bytes.Equal(p, box) && !bytes.Equal(p, wide) {
			t.Errorf("%s is shown as something else", s)
		}
	}
	// No character is replaced by one that stands for yet another thing, and none in vain.
	for from, to := range substitutes {
		if _, again := substitutes[to]; again || from == to {
			t.Errorf("%c is to be shown as %c", from, to)
		}
		if unicode.IsDigit(to) {
			t.Errorf("%c becomes the digit %c and would be read with its neighbours", from, to)
		}
	}
}
