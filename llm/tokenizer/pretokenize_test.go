package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func words(pre, text string) []string {
	var t Tokenizer
	t.choosePreTokenizer(pre)
	var w []string
	split(t.pre, text, func(s string) { w = append(w, s) })
	return w
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ pre, text, want string }{ // words between bars
		{"llama-bpe", "Hello world", "Hello| world"},
		{"llama-bpe", "Hello, y'all! I'll", "Hello|,| y|'all|!| I|'ll"},
		{"llama-bpe", "IT'S we'Re x'D", "IT|'S| we|'Re| x|'D"},
		{"llama-bpe", "1234567", "123|456|7"},
		{"llama-bpe", " 12", " |12"},
		{"llama-bpe", "a  b", "a| | b"},
		{"llama-bpe", "a   1", "a|  | |1"},
		{"llama-bpe", "end  ", "end|  "},
		{"llama-bpe", "a\n\n b", "a|\n\n| b"},
		{"llama-bpe", "a \n \n  b", "a| \n \n| | b"},
		{"llama-bpe", "x = {\n\ty", "x| =| {\n|\ty"},
		{"llama-bpe", "!!\r\n\nok", "!!\r\n\n|ok"},
		{"llama-bpe", " !? (a)", " !?| (|a|)"},
		{"llama-bpe", "#tag\n#x", "#tag|\n|#x"},
		{"llama-bpe", "'era", "'era"},
		{"llama-bpe", "' era", "'| era"},
		{"llama-bpe", "我想在apple工作1314", "我想在apple工作|131|4"},
		{"llama-bpe", "\u00a0x\u2003\u2003y", "\u00a0x|\u2003|\u2003y"},
		{"llama-bpe", "कि", "क|\u093f"},
		{"llama-bpe", "\xff\xfe a", "\xff\xfe| a"},
		{"qwen2", "a 12", "a| |1|2"},
		{"qwen2", "कि", "क|\u093f"},
		{"qwen35", "कि", "कि"},
		{"gpt-2", "It's 1234 we'LL", "It|'s| 1234| we|'|LL"},
		{"gpt-2", "a\n\n b  c", "a|\n\n| b| | c"},
		{"gpt-2", "a  \n", "a|  \n"},
		{"starcoder", " 12 ab", " |1|2| ab"},
		{"falcon", "a.b 1234", "a|.|b| |123|4"},
		{"gpt-4o", "camelCase HTMLParser's A/\n", "camel|Case| HTMLParser's| A|/\n"},
		{"deepseek-v3", "a(b 12漢字かなx", "a|(b| |12|漢字かな|x"},
	} {
		want := strings.Split(c.want, "|")
		if got := words(c.pre, c.text); !slices.Equal(got, want) {
			t.Errorf("%s %q:\n got %q\nwant %q", c.pre, c.text, got, want)
		}
	}
}

// The hand-written scanners agree with the regular expressions they stand for.
func TestWordsOfExpressions(t *testing.T) {
	data, err := os.ReadFile("testdata/splits.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		Texts []string
		Words map[string][][]int // lengths in bytes
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	if len(ref.Texts) == 0 || len(ref.Words) < 10 {
		t.Fatal("no reference words")
	}
	for pre, lengths := range ref.Words {
		for i, text := range ref.Texts {
			var got []int
			for _, w := range words(pre, text) {
				got = append(got, len(w))
			}
			if !slices.Equal(got, lengths[i]) {
				t.Errorf("%s %q: got %q, want lengths %v", pre, text, words(pre, text), lengths[i])
			}
		}
	}
}

var allPre = []string{"llama-bpe", "qwen2", "qwen35", "ufakzeka", "minicpm5", "laguna", "gpt-4o", "tekken", "gpt-2", "starcoder",
	"falcon", "default", "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom", "viking"}

// Words joined are the text, whatever its bytes, and none is empty.
func FuzzWords(f *testing.F) {
	f.Add("Hello, y'all!  12345\r\n\n 漢字 \xff\xe2\x96")
	f.Add("  \n \t ' 's'LLéÉx\u0301")
	f.Fuzz(func(t *testing.T, text string) {
		for _, pre := range allPre {
			w := words(pre, text)
			if strings.Join(w, "") != text {
				t.Fatalf("%s: %q is not %q", pre, w, text)
			}
			if slices.Contains(w, "") {
				t.Fatalf("%s: an empty word in %q", pre, w)
			}
		}
	})
}

// White space, which the expressions look far ahead over, costs no more than
// linear time: this would take hours otherwise.
func TestWordsLong(t *testing.T) {
	for _, pre := range allPre {
		for _, unit := range []string{" ", "\n", "\n ", "a", "A", "é", "1", "!", "'", "\u3000", " x", "\xff"} {
			text := strings.Repeat(unit, 1<<15)
			if got := strings.Join(words(pre, text), ""); got != text {
				t.Errorf("%s: words of %q... are not the text", pre, unit)
			}
			words(pre, text+"x")
		}
	}
}
