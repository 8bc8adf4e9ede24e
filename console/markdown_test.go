package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// demo is an answer with all that is known of Markdown.
const demo = "Here is a **quick comparison**.\n\n### Python\n```python\ndef reverse(items):\n    return items[::-1]          # a copy\n```\n\n### Go\n```go\nslices.Reverse(items)           // in place\n```\n\n" +
	"| Language | Function | Copies? |\n|---|---|:-:|\n| Python | `items[::-1]` | yes |\n| Go | `slices.Reverse` | no |\n\n" +
	"- **In place** – the list that you have changes; nothing is copied, so it costs no memory. Prose is never wider than 80 characters, lists hang.\n" +
	"  1. An entry *within*, with `code`\n  2. and another one [1]\n\n> Quotes have a bar at their side, which goes on in every row that a long quote needs on this screen.\n"

// rendered gives the rows of an answer that comes in pieces.
func rendered(cols int, pieces ...string) (rows []string) {
	var table clusters
	p := newPage(cols, 1000, &table)
	p.measure = measure
	m := markdown{p: p}
	p.setIndent(2)
	m.begin()
	for _, s := range pieces {
		m.write(s)
	}
	m.pause()
	for _, row := range p.lines {
		text := ""
		for _, c := range row {
			if c.mark&markTrail == 0 {
				text += table.string(c.id)
			}
		}
		rows = append(rows, strings.TrimRight(text, " "))
	}
	for len(rows) > 0 && rows[len(rows)-1] == "" {
		rows = rows[:len(rows)-1]
	}
	return rows
}

func TestMarkdown(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "One.\nTwo.", "  One.\n  Two."},
		{"blank lines", "One.\n\n\n\nTwo.", "  One.\n\n  Two."},
		{"emphasis", "a **b** *c* ***d*** __e__ _f_ ~~g~~ h", "  a b c d e f g h"},
		{"no emphasis", "2 * 3 * 4, a_b_c, **open, * _ x", "  2 * 3 * 4, a_b_c, **open, * _ x"},
		{"backslashes", `\*a\* \\ C:\dir \# x`, `  *a* \ C:\dir # x`},
		{"code", "`a` ``b ` c`` `` `d` `` `open", "  a b ` c `d` `open"},
		{"heading", "Text\n## Title ##\nText\n#no\n####### no", "  Text\n\n  Title\n  Text\n  #no\n  ####### no"},
		{"list", "- a\n- b\n  - c\n    - d\n- e\n* f\n+ g\n-h", "  • a\n  • b\n    • c\n      • d\n  • e\n  • f\n  • g\n  -h"},
		{"numbers", "1. a\n2) b\n10. c\n   - d\n   more\n11.e", "  1. a\n  2) b\n  10. c\n    • d\n    more\n  11.e"},
		{"tasks", "- [ ] a\n- [x] b", "  ☐ a\n  ☑ b"},
		{"hanging", "- " + strings.Repeat("word ", 10), "  • word word word word word word word\n    word word word"},
		{"rule", "a\n\n---\nb\n* * *", "  a\n\n  " + strings.Repeat("─", 38) + "\n  b\n  " + strings.Repeat("─", 38)},
		{"quote", "> one two three four five six seven eight nine\n>> in\n> - x", "  │ one two three four five six seven\n  │ eight nine\n  │ │ in\n  │ • x"},
		{"links", "[a](b) ![c](d) [e] [1] [f](g", "  a (b) c (d) [e] [1] [f](g"},
		{"code block", "```go\nx := 1\n\n\ty\n```\nz", "   x := 1                            1\n\n       y\n  z"},
		{"code without an end", "~~~\na", "   a                                 1"},
		{"indented fence", "  ```\n  a\n    b\n  ```", "   a                                 1\n     b"},
		{"fences within", "````\n```\na\n```\n````\nb", "   ```                               1\n   a\n   ```\n  b"},
		{"two blocks", "```\na\n```\n```\nb\n```", "   a                                 1\n   b                                 2"},
		{"table", "|a|b|\n|-|:-:|\n|1|two|\n|`|`|\\||\n\nx",
			"  ┌───┬─────┐\n  │ a │  b  │\n  ├───┼─────┤\n  │ 1 │ two │\n  │ ` │  `  │\n  └───┴─────┘\n\n  x"},
		{"table without bars", "a | b\n--|--:\n1 | 2\nx", "  ┌───┬───┐\n  │ a │ b │\n  ├───┼───┤\n  │ 1 │ 2 │\n  └───┴───┘\n  x"},
		{"no table", "|a|b|\n|c|d|\nx | y\nz", "  |a|b|\n  |c|d|\n  x | y\n  z"},
		{"wide table", "|a|b|\n|-|-|\n|" + strings.Repeat("word ", 9) + "|2|\n|3|4|",
			"  ┌────────────────────────────────┬───┐\n  │ a                              │ b │\n  ├────────────────────────────────┼───┤\n  │ word word word word word word  │ 2 │\n  │ word word word                 │   │\n  ├────────────────────────────────┼───┤\n  │ 3                              │ 4 │\n  └────────────────────────────────┴───┘"},
		{"breaks in a table", "|a|\n|-|\n|x<br>y|", "  ┌───┐\n  │ a │\n  ├───┤\n  │ x │\n  │ y │\n  └───┘"},
		{"drawing", "  /\\\n /  \\\n", "    /\\\n   /  \\"},
	} {
		want := strings.Split(tt.want, "\n")
		if got := rendered(40, tt.in); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), tt.want)
		}
		if got := rendered(40, strings.Split(tt.in, "")...); !slices.Equal(got, want) {
			t.Errorf("%s, character by character: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), tt.want)
		}
	}
}

// What comes is seen at once, and in the style that it will have.
func TestMarkdownStyles(t *testing.T) {
	live := func(s string) string {
		var table clusters
		p := newPage(40, 100, &table)
		m := markdown{p: p}
		m.begin()
		for _, r := range s {
			m.write(string(r))
		}
		style := ""
		for _, c := range p.lines[len(p.lines)-1] {
			style += string("0123456789SEHC[-"[min(int(c.style), 15)])
		}
		return style
	}
	for in, want := range map[string]string{
		"a **b": "44S", "a **b** c": "44S44", "*it": "EE", "`co": "CC", "`co` x": "CC44", "# He": "HH", "x [1] y": "44[[[44",
		"~~no~~": "55", "***bo": "SS", "**a *b* c**": "SSSSS", "a \\*b": "4444", "- **x": "44S", "**": "", "|a|": "555",
	} {
		if got := live(in); got != want {
			t.Errorf("while it comes, %q has the styles %q, want %q", in, got, want)
		}
	}
}

// What interrupts an answer stands between its lines, and code goes on as code behind it.
func TestMarkdownInterrupted(t *testing.T) {
	r := newRig(t, 800, 600)
	r.BeginAnswer()
	r.write("```\na\nb")
	r.Error("not saved")
	r.write("c\n```\n|x|\n|-|\n|y|")
	r.Quiet("end")
	want := "alpha   a                                                                             1\n        b\n       not saved\n        c\n" +
		"       ┌───┐\n       │ x │\n       ├───┤\n       │ y │\n       └───┘\n       end"
	want = strings.Replace(want, strings.Repeat(" ", 77), strings.Repeat(" ", 74), 1)
	if got := r.text(); squeezeRows(got) != squeezeRows(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := r.line.String(), "alpha> ```\r\na\r\nb\r\nnot saved\r\nc\r\n```\r\n|x|\r\n|-|\r\n|y|\r\nend\r\n"; got != want {
		t.Errorf("the serial line has %q, want %q", got, want)
	}
}

func squeezeRows(s string) string {
	rows := strings.Split(s, "\n")
	for i := range rows {
		rows[i] = strings.Join(strings.Fields(rows[i]), " ")
	}
	return strings.Join(rows, "\n")
}

// All is laid out anew when the text changes its size, or answers are to be seen as they came.
func TestRelay(t *testing.T) {
	r := newRig(t, 1280, 800)
	talk := func(r *rig) {
		r.Notice("Note: " + strings.Repeat("this is a long note ", 8))
		p := r.Progress("Loading x.gguf", 100)
		p.Set(50)
		p.Set(100)
		p.Done()
		r.say("Compare them, please; and take your time, since this is a question that is wrapped when the text is large.")
		r.BeginAnswer()
		for _, s := range strings.SplitAfter(demo, " ") {
			r.write(s)
		}
		r.Quiet("20 tokens")
	}
	talk(r)
	before := r.text()
	for _, tt := range []struct {
		set  func(*Console, string) error
		name string
	}{
		{(*Console).SetTextSize, "huge"}, {(*Console).SetTextSize, "small"}, {(*Console).SetTextSize, "large"}, {(*Console).SetTextSize, "normal"},
		{(*Console).SetWidth, "60"}, {(*Console).SetWidth, "screen"}, {(*Console).SetWidth, "80"},
	} {
		if err := tt.set(r.Console, tt.name); err != nil {
			t.Fatal(err)
		}
		r.consistent()
		fresh := newRig(t, 1280, 800)
		if err := tt.set(fresh.Console, tt.name); err != nil {
			t.Fatal(err)
		}
		talk(fresh)
		if got, want := r.text(), fresh.text(); got != want {
			t.Errorf("%s: laid out anew\n%s\nas if it had been so from the beginning\n%s", tt.name, got, want)
		}
	}
	if got := r.text(); got != before {
		t.Errorf("back at the first size\n%s\nwant\n%s", got, before)
	}
	r.Raw(true)
	if got := r.text(); !strings.Contains(got, "|---|---|:-:|") || !strings.Contains(got, "```go") {
		t.Errorf("as it came:\n%s", got)
	}
	r.Raw(false)
	if got := r.text(); got != before {
		t.Errorf("laid out again\n%s\nwant\n%s", got, before)
	}
	for _, name := range Themes() {
		if err := r.SetTheme(name); err != nil {
			t.Fatal(err)
		}
		r.consistent()
	}
	if r.SetTheme("pink") == nil || r.SetTextSize("9") == nil || r.SetWidth("7") == nil {
		t.Error("a theme, a size or a width that does not exist was accepted")
	}
}

// Prose is as wide as was chosen, and what stands in columns as wide as the screen.
func TestWidth(t *testing.T) {
	r := newRig(t, 1280, 800)
	r.BeginAnswer()
	r.write(strings.Repeat("words of an answer ", 30))
	for _, tt := range []struct {
		name  string
		least int
		most  int
	}{{"60", 50, 60}, {"80", 70, 80}, {"100", 90, 100}, {"screen", 95, r.page.cols}} {
		if err := r.SetWidth(tt.name); err != nil {
			t.Fatal(err)
		}
		wide := 0
		for _, row := range r.page.lines {
			wide = max(wide, len(row)-r.gutter)
		}
		if wide < tt.least || wide > tt.most {
			t.Errorf("%s: %d columns", tt.name, wide)
		}
	}
	if look, text := r.Adjusts(); !look || !text {
		t.Error("the screen cannot be changed")
	}
	if look, text := newRig(t, 0, 0).Adjusts(); look || text {
		t.Error("there is a screen without one")
	}
}

// The script forgets what the page forgets.
func TestScriptForgets(t *testing.T) {
	r := newRig(t, 800, 600)
	for i := range 40 {
		r.BeginAnswer()
		for range 100 {
			r.write(fmt.Sprintf("%d is a **number**, of which there are many in a conversation that goes on for years.\n", i))
		}
		r.Quiet("200 tokens")
	}
	bytes := 0
	for _, p := range r.page.log.pieces {
		bytes += len(p.text)
	}
	if most := 2 * 85 * r.o.Scrollback; bytes > most {
		t.Errorf("%d bytes are kept for %d rows", bytes, len(r.page.lines))
	}
	r.Raw(true)
	if got := r.text(); !strings.HasSuffix(got, "39 is a **number**, of which there are many in a conversation that goes on for\n       years.\n       200 tokens") {
		t.Errorf("got\n%s", got)
	}
}

// A line may be longer than what is laid out anew.
func TestMarkdownLongLine(t *testing.T) {
	for _, in := range []string{strings.Repeat("*a _b ~~c `d [e ", 600), "```\n" + strings.Repeat("x y", 3000) + "\n```", "|a|\n|-|\n|" + strings.Repeat("b ", 4000) + "|\nc"} {
		whole, pieces := rendered(60, in), rendered(60, strings.SplitAfter(in, " ")...)
		if !slices.Equal(whole, pieces) {
			t.Errorf("%.20q differs", in)
		}
		if got := strings.Join(strings.Fields(strings.Join(whole, "")), ""); len(got) < len(in)/2 {
			t.Errorf("of %.20q only %d bytes are shown", in, len(got))
		}
	}
}

// FuzzMarkdown checks that an answer in pieces looks as it does at once, that no row is too wide, and that no word
// of it is lost.
func FuzzMarkdown(f *testing.F) {
	f.Add(demo, uint8(3), uint8(60))
	f.Add("**a *b** c* `d `` e\n|x|\n|-|\n\n1. a\n   > b\n```\n|\n```", uint8(1), uint8(20))
	f.Add("a|b\n-|-\n[x](y) ![z](", uint8(2), uint8(9))
	f.Add(strings.Repeat("*a _b ~~c `d [e ", 30), uint8(7), uint8(33))
	f.Add(strings.Repeat("|日本|", 30)+"\n"+strings.Repeat("|-", 30)+"|\n", uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, in string, step, cols uint8) {
		if strings.ContainsAny(in, "\ufe0e\ufe0f") || len(in) > 2*maxLine {
			t.Skip("a variation selector may narrow what was already wrapped, and long texts take long")
		}
		in = cleanString(in)
		lay := func(step int) string {
			var table clusters
			p := newPage(int(cols)+12, 100000, &table)
			p.measure = measure
			m := markdown{p: p}
			p.setIndent(3)
			m.begin()
			for s := []rune(in); len(s) > 0; {
				n := min(step, len(s))
				m.write(string(s[:n]))
				s = s[n:]
			}
			m.pause()
			for _, row := range p.lines {
				if len(row) > p.cols {
					t.Fatalf("a row of %d cells in %d columns", len(row), p.cols)
				}
			}
			return fmt.Sprint(p.lines)
		}
		if whole, pieces := lay(len(in)+1), lay(int(step)+1); whole != pieces {
			t.Fatalf("%q differs", in)
		}
	})
}

// BenchmarkToken is what one token of an answer costs, in the midst of a paragraph of the usual length, laid out
// as Markdown and as it comes.
func BenchmarkToken(b *testing.B) {
	for _, raw := range []bool{false, true} {
		name := map[bool]string{false: "markdown", true: "raw"}[raw]
		b.Run(name, func(b *testing.B) {
			benchSizesRun(b, func(b *testing.B, w, h int) {
				c := benchConsole(b, w, h)
				c.Raw(raw)
				tokens := strings.SplitAfter(strings.Repeat("The **quick** brown fox jumps over `the lazy dog`, and so on and on. ", 8)+"\n\n", " ")
				c.BeginAnswer()
				i := 0
				for b.Loop() {
					c.Write([]byte(tokens[i%len(tokens)]))
					i++
				}
			})
		})
	}
}

// Blocks of code have the numbers that they are told, also when all is laid out anew.
func TestCodeFrom(t *testing.T) {
	r := newRig(t, 1280, 800)
	numbers := func() (list []string) {
		for line := range strings.Lines(r.text()) {
			if f := strings.Fields(line); len(f) >= 2 && f[len(f)-2] == "code" {
				list = append(list, f[len(f)-1])
			}
		}
		return list
	}
	const two = "```\ncode\n```\nand\n```\ncode\n```\n"
	r.CodeFrom(6)
	r.ReplayAnswer(two, "")
	r.CodeFrom(8)
	r.BeginAnswer()
	r.write(two)
	r.Quiet("20 tokens")
	want := []string{"7", "8", "9", "10"}
	if got := numbers(); !slices.Equal(got, want) {
		t.Errorf("numbered %v, want %v\n%s", got, want, r.text())
	}
	if err := r.SetTextSize("large"); err != nil {
		t.Fatal(err)
	}
	if got := numbers(); !slices.Equal(got, want) {
		t.Errorf("laid out anew they are %v, want %v", got, want)
	}
}
