package console

import (
	"bytes"
	"testing"
)

// What is shown for a character never says something else: characters that people tell apart look
// different, and different from the box that stands for what is missing.
func TestNeighboursDiffer(t *testing.T) {
	g, err := newGlyphs(11, 25, &clusters{})
	if err != nil {
		t.Fatal(err)
	}
	picture := func(s string) []byte {
		pair := g.draw(g.table.id(s), regular, textWidth(s) == 2)
		return append(append([]byte(nil), pair[0]...), pair[1]...)
	}
	box, wide := picture("\U000F0000"), picture("\U00020000")
	for _, group := range [][]string{
		{"☺", "☹"}, {"🙂", "🙁"}, {"✓", "√", "✗", "×"}, {"✅", "❌"}, {"☐", "☒", "■"}, {"★", "☆", "*"},
		{"→", "⇒", "↦", "↪"}, {"←", "⇐", "⏎"}, {"↔", "⇔"}, {"↑", "⇑"}, {"↓", "⇓"},
		{"∇", "▼", "△", "▲"}, {"▷", "►", "◁", "◄"}, {"≪", "«", "<"}, {"≫", "»", ">"}, {"≈", "≃", "≅", "~", "="},
		{"1", "①", "!"}, {"1", "1\uFE0F\u20E3"}, {"❷", "2", "①"}, {"○", "◎", "●"}, {"⚠", "‼", "△"},
		{"♩", "♪"}, {"❤", "♥", "💔", "🤍"}, {"😢", "😂", "😈", "😀"}, {"⅓", "⅔"}, {"中", "申"}, {"か", "が"}, {"한", "함"}, {"ש", "שׁ", "שׂ"}, {"ก", "กิ", "กี"},
		{"ع", "غ"}, {"क", "की"}, {"🇩🇪", "🇧🇪", "🇦🇹"}, {"ệ", "ê", "e"}, {"q\u0323", "q"},
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
	for _, s := range []string{"👩‍💻", "❤️‍🔥", "🏳️‍🌈"} { // joined, they are another thing than either part
		if p := picture(s); !bytes.Equal(p, box) && !bytes.Equal(p, wide) {
			t.Errorf("%s is shown as something else", s)
		}
	}
	for _, same := range [][]string{{"👍", "👍🏽"}, {"☎", "☎\uFE0E"}, {"é", "e\u0301"}} {
		if !bytes.Equal(picture(same[0]), picture(same[1])) {
			t.Errorf("%s does not look like %s", same[1], same[0])
		}
	}
}
