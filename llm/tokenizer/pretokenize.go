package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// Byte-level BPE cuts text into words before it merges, by regular expressions
// that each model family brings along (tokenizer.ggml.pre). They need
// look-ahead, which Go's regexp has not, and speed, so each is written by hand
// here as a matcher, with the expression above it.
//
// Invariant: the words are the text, cut: joined they give it back, whatever
// bytes it has. Bytes that are not UTF-8 count as a symbol character each.

// A matcher returns the length in bytes of its expression's match at s[i:],
// 0 if it does not match there. i is less than len(s), at a character's start,
// and nothing before i has matched.
type matcher func(s string, i int) int

// split cuts text by the first matcher: each match and each stretch between
// matches is then cut by the next matcher, and what the last one leaves are
// the words.
func split(matchers []matcher, text string, word func(string)) {
	if len(matchers) == 0 {
		word(text)
		return
	}
	match, rest := matchers[0], matchers[1:]
	between := 0
	for i := 0; i < len(text); {
		n := match(text, i)
		if n == 0 {
			_, size := at(text, i)
			i += size
			continue
		}
		if between < i {
			split(rest, text[between:i], word)
		}
		split(rest, text[i:i+n], word)
		i += n
		between = i
	}
	if between < len(text) {
		split(rest, text[between:], word)
	}
}

// choosePreTokenizer sets the matchers for a value of tokenizer.ggml.pre.
func (t *Tokenizer) choosePreTokenizer(name string) {
	llama3 := []matcher{cl100k{digits: 3, contractions: true}.match}
	qwen2 := []matcher{cl100k{digits: 1, contractions: true}.match}
	gpt2Digits := []matcher{oneNumber, gpt2}
	switch name {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
		t.pre, t.ignoreMerges, t.addBOS = llama3, true, true
	case "dbrx", "smaug-bpe", "glm4", "chatglm-bpe":
		t.pre = llama3
	case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2":
		t.pre = qwen2
	case "qwen35":
		t.pre = []matcher{cl100k{digits: 1, contractions: true, marks: true}.match}
	case "ufakzeka":
		t.pre = []matcher{cl100k{digits: 1}.match}
	case "minicpm5":
		t.pre, t.ignoreMerges = []matcher{threeNumbers, cl100k{contractions: true}.match}, true
	case "laguna":
		t.pre = []matcher{lines, qwen2[0]}
	case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
		t.pre = []matcher{o200k{digits: 3, contractions: true}.match}
	case "tekken":
		t.pre, t.ignoreMerges, t.addBOS = []matcher{o200k{digits: 1}.match}, true, true
	case "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
		"modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling",
		"jina-v1-en", "jina-v2-code", "roberta-bpe":
		t.pre = []matcher{gpt2}
	case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2":
		t.pre = gpt2Digits
	case "falcon":
		t.pre = []matcher{punctuation("$+<=>^~|`"), gpt2, threeDigits}
	case "", "default":
		t.pre = []matcher{punctuation("$+<=>^~|"), gpt2, allNumbers, threeDigits}
		if name == "" {
			t.warn("the model file does not name its pre-tokenizer (tokenizer.ggml.pre is missing): answers may be poor, a newly converted file will do better")
		}
	case "deepseek-llm":
		t.pre = []matcher{lineBreak, spaceAnd(isCased), spaceAnd(isDeepseekPunct), trailingSpace, cjk, allNumbers}
	case "deepseek-coder":
		t.pre = []matcher{lineBreak, spaceAnd(isLetter), spaceAnd(isPunct), cjk, oneNumber}
	case "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4":
		t.pre = []matcher{threeNumbers, hanKana, deepseek3}
	case "poro-chat", "bloom", "gpt3-finnish":
		t.pre = []matcher{bloom}
	case "viking":
		t.pre = []matcher{bloom, oneNumber}
	default:
		t.pre = llama3
		t.warn("the model file's pre-tokenizer %q is not known and \"llama-bpe\" is used in its place: answers may be poorer than they should be", name)
	}
}

// class is a set of the character classes that the expressions ask for.
type class uint8

const (
	letter class = 1 << iota // \p{L}
	number                   // \p{N}
	space                    // \s
	mark                     // \p{M}
	punct                    // \p{P}
	sym                      // \p{S}
	none                     // in no class above
)

var ascii = func() (table [utf8.RuneSelf]class) {
	for c := range table {
		table[c] = classOf(rune(c))
	}
	return
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsSpace(r):
		return space
	case unicode.IsNumber(r):
		return number
	case unicode.IsPunct(r):
		return punct
	case unicode.IsMark(r):
		return mark
	case unicode.IsSymbol(r):
		return sym
	}
	return none
}

// at returns the class and the size in bytes of the character at s[i:], 0 and
// 0 at the end.
func at(s string, i int) (class, int) {
	if i >= len(s) {
		return 0, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return ascii[c], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	return classOf(r), size
}

// run returns the end of the stretch of characters of the classes in set that
// begins at s[i:].
func run(s string, i int, set class) int {
	for {
		c, size := at(s, i)
		if c&set == 0 {
			return i
		}
		i += size
	}
}

// lastBefore is the start of the character that ends at s[:end].
func lastBefore(s string, end int) int {
	_, size := utf8.DecodeLastRuneInString(s[:end])
	return end - size
}

// spaces matches what ends most of the expressions: \s+(?!\S)|\s+
//
// That is a stretch of white space without its last character if something
// follows, so that the next word can have it.
func spaces(s string, i int) int {
	end := run(s, i, space)
	if end < len(s) {
		if last := lastBefore(s, end); last > i {
			return last - i
		}
	}
	return end - i
}

// breaks matches \s*[\r\n]+
func breaks(s string, i int) int {
	for end := run(s, i, space); end > i; end-- {
		if s[end-1] == '\r' || s[end-1] == '\n' {
			return end - i
		}
	}
	return 0
}

func isBreak(c byte) bool { return c == '\r' || c == '\n' }

// contraction matches 's|'t|'re|'ve|'m|'ll|'d, in capitals too if fold.
func contraction(s string, i int, fold bool) int {
	if s[i] != '\'' || i+1 >= len(s) {
		return 0
	}
	low := func(c byte) byte {
		if fold && 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	switch a := low(s[i+1]); a {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v', 'l':
		if i+2 < len(s) {
			if b := low(s[i+2]); b == 'e' && a != 'l' || b == 'l' && a == 'l' {
				return 3
			}
		}
	}
	return 0
}

// gpt2 matches 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2(s string, i int) int {
	if n := contraction(s, i, false); n > 0 {
		return n
	}
	j := i
	if s[i] == ' ' {
		j++
	}
	switch c, _ := at(s, j); {
	case c == 0 || c == space:
		return spaces(s, i)
	case c == letter || c == number:
		return run(s, j, c) - i
	default:
		return run(s, j, ^(space|letter|number)) - i
	}
}

// cl100k is OpenAI's second expression and its many descendants, Llama 3's and
// Qwen's among them:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
type cl100k struct {
	digits       int  // at most in a match; 0: any number
	contractions bool // the first alternative is there
	marks        bool // \p{M} counts as \p{L}, but not as the first character
}

func (m cl100k) match(s string, i int) int {
	if m.contractions {
		if n := contraction(s, i, true); n > 0 {
			return n
		}
	}
	letters := letter
	if m.marks {
		letters |= mark
	}
	c, size := at(s, i)
	switch {
	case c&letter != 0:
		return run(s, i, letters) - i
	case c == number:
		return m.numbers(s, i)
	case !isBreak(s[i]):
		if next, _ := at(s, i+size); next&letters != 0 {
			return run(s, i+size, letters) - i
		}
		if c&letters != 0 {
			return size // a lone mark
		}
	}
	if n := symbols(s, i, ^(space | number | letters), isBreak); n > 0 {
		return n
	}
	if n := breaks(s, i); n > 0 {
		return n
	}
	return spaces(s, i)
}

func (m cl100k) numbers(s string, i int) int {
	if m.digits == 0 {
		return run(s, i, number) - i
	}
	return upTo(s, i, number, m.digits)
}

// upTo matches the class 1 to n times.
func upTo(s string, i int, set class, n int) int {
	j := i
	for ; n > 0; n-- {
		c, size := at(s, j)
		if c&set == 0 {
			break
		}
		j += size
	}
	return j - i
}

// symbols matches " ?[set]+[tail]*".
func symbols(s string, i int, set class, tail func(byte) bool) int {
	j := i
	if s[i] == ' ' {
		j++
	}
	end := run(s, j, set)
	if end == j {
		return 0
	}
	for end < len(s) && tail(s[end]) {
		end++
	}
	return end - i
}

// o200k is the expression of GPT-4o, Llama 4 and Mistral's Tekken, in
// llama.cpp's reading, where U is a letter other than a-z and L one other than
// A-Z:
//
//	[^\r\n\p{L}\p{N}]?U*L+('s|...)?|[^\r\n\p{L}\p{N}]?U+L*('s|...)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
type o200k struct {
	digits       int
	contractions bool
}

func (m o200k) match(s string, i int) int {
	c, size := at(s, i)
	j := i
	if c&(letter|number) == 0 && !isBreak(s[i]) {
		j += size
	}
	if end := camel(s, j); end > j {
		if m.contractions && end < len(s) {
			end += contraction(s, end, true)
		}
		return end - i
	}
	if c == number {
		return upTo(s, i, number, m.digits)
	}
	if n := symbols(s, i, ^(space | letter | number), func(c byte) bool { return isBreak(c) || c == '/' }); n > 0 {
		return n
	}
	if n := breaks(s, i); n > 0 {
		return n
	}
	return spaces(s, i)
}

// camel returns the end of U*L+|U+L* at s[i:], i if there is no letter.
func camel(s string, i int) int {
	end, both := i, -1 // both: end of the last letter that is U and L
	for {
		c, size := at(s, end)
		if c != letter || size == 1 && 'a' <= s[end] && s[end] <= 'z' {
			break
		}
		end += size
		if size > 1 {
			both = end
		}
	}
	lower := end
	for {
		c, size := at(s, lower)
		if c != letter || size == 1 && 'A' <= s[lower] && s[lower] <= 'Z' {
			break
		}
		lower += size
	}
	switch {
	case lower > end:
		return lower
	case both >= 0: // U* gives one back to L+
		return both
	}
	return end
}

// deepseek3 matches
//
//	[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func deepseek3(s string, i int) int {
	c, size := at(s, i)
	if size == 1 && s[i] < utf8.RuneSelf && c&(punct|sym) != 0 {
		end := i + 1
		for end < len(s) && ('a' <= s[end]|0x20 && s[end]|0x20 <= 'z') {
			end++
		}
		if end > i+1 {
			return end - i
		}
	}
	if c&(letter|punct|sym) == 0 && !isBreak(s[i]) {
		if next, _ := at(s, i+size); next&(letter|mark) != 0 {
			return run(s, i+size, letter|mark) - i
		}
	}
	if c&(letter|mark) != 0 {
		return run(s, i, letter|mark) - i
	}
	if n := symbols(s, i, punct|sym, isBreak); n > 0 {
		return n
	}
	if n := breaks(s, i); n > 0 {
		return n
	}
	if c == space {
		return spaces(s, i)
	}
	return 0
}

// oneNumber matches \p{N}
func oneNumber(s string, i int) int { return upTo(s, i, number, 1) }

// threeNumbers matches \p{N}{1,3}
func threeNumbers(s string, i int) int { return upTo(s, i, number, 3) }

// allNumbers matches \p{N}+
func allNumbers(s string, i int) int { return run(s, i, number) - i }

// threeDigits matches [0-9][0-9][0-9]
func threeDigits(s string, i int) int {
	for j := i; j < i+3; j++ {
		if j >= len(s) || s[j] < '0' || s[j] > '9' {
			return 0
		}
	}
	return 3
}

// punctuation matches [\p{P}more]+
func punctuation(more string) matcher {
	var table [utf8.RuneSelf]bool
	for c := range table {
		table[c] = ascii[c] == punct
	}
	for _, c := range []byte(more) {
		table[c] = true
	}
	return func(s string, i int) int {
		j := i
		for j < len(s) {
			c, size := at(s, j)
			if c != punct && (size > 1 || s[j] >= utf8.RuneSelf || !table[s[j]]) {
				break
			}
			j += size
		}
		return j - i
	}
}

// lineBreak matches [\r\n]
func lineBreak(s string, i int) int {
	if isBreak(s[i]) {
		return 1
	}
	return 0
}

// lines matches [^\n]+|\n+
func lines(s string, i int) int {
	j := i
	for j < len(s) && (s[j] == '\n') == (s[i] == '\n') {
		j++
	}
	return j - i
}

// trailingSpace matches \s+$
func trailingSpace(s string, i int) int {
	if i > 0 {
		if c, _ := at(s, lastBefore(s, i)); c == space {
			return 0 // it did not match one character earlier
		}
	}
	if end := run(s, i, space); end == len(s) {
		return end - i
	}
	return 0
}

// spaceAnd matches \s?[is]+
func spaceAnd(is func(rune) bool) matcher {
	return func(s string, i int) int {
		j := i
		if c, size := at(s, i); c == space {
			j += size
		}
		if end := runeRun(s, j, is); end > j {
			return end - i
		}
		return runeRun(s, i, is) - i // the set may hold white space itself
	}
}

func runeRun(s string, i int, is func(rune) bool) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !is(r) {
			break
		}
		i += size
	}
	return i
}

func isLetter(r rune) bool { return unicode.IsLetter(r) }
func isPunct(r rune) bool  { return unicode.IsPunct(r) }

// isCased is DeepSeek LLM's list of letters: those that have a case.
func isCased(r rune) bool { return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt) }

// isDeepseekPunct is [!-/:-~！-／：-～‘-‟　-。]
func isDeepseekPunct(r rune) bool {
	return '!' <= r && r <= '/' || ':' <= r && r <= '~' || '！' <= r && r <= '／' || '：' <= r && r <= '～' ||
		'‘' <= r && r <= '‟' || 0x3000 <= r && r <= '。'
}

// cjk matches [一-龥ࠀ-一가-퟿]+
func cjk(s string, i int) int {
	return runeRun(s, i, func(r rune) bool { return 0x0800 <= r && r <= 0x9fa5 || 0xac00 <= r && r <= 0xd7ff }) - i
}

// hanKana matches [一-龥぀-ゟ゠-ヿ]+
func hanKana(s string, i int) int {
	return runeRun(s, i, func(r rune) bool { return 0x4e00 <= r && r <= 0x9fa5 || 0x3040 <= r && r <= 0x30ff }) - i
}

// bloom matches " ?[^(\s|.,!?…。，、।۔،)]+"
func bloom(s string, i int) int {
	in := func(r rune) bool {
		switch r {
		case '(', '|', '.', ',', '!', '?', '…', '。', '，', '、', '।', '۔', '،', ')':
			return false
		}
		return !unicode.IsSpace(r)
	}
	j := i
	if s[i] == ' ' {
		j++
	}
	if end := runeRun(s, j, in); end > j {
		return end - i
	}
	return 0
}
