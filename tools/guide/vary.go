package guide

// How people ask the same thing in different ways: in other words, politely, shortly, with
// slips. A varied question must ask what it asked before, so changes of words are tied to
// the words around them; grammar may suffer a little, as it does when people type.

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"unicode"
)

// A varier changes questions at random.
type varier struct{ *rand.Rand }

// chance is true with a probability of p.
func (v varier) chance(p float64) bool { return v.Float64() < p }

func (v varier) pick(list []string) string { return list[v.IntN(len(list))] }

// question returns q as some person would type it. Small talk is left as it is, but for
// slips and capitals.
func (v varier) question(q string, kind Kind) string {
	asks := isQuestion(q)
	s := strings.TrimRight(q, "?.! ")
	if kind == Talk {
		if s == "" {
			return q
		}
		if v.chance(0.09) {
			s = v.typo(s)
		}
		return v.dress(s, asks)
	}
	if kind == About {
		s = v.otherWords(s)
	}
	switch r := v.Float64(); {
	case r < 0.16:
		s = v.indirect(s)
	case r < 0.34:
		s = v.pick(openings) + lowerFirst(s)
	case r < 0.40:
		s = v.reorder(s)
	case r < 0.45:
		s = telegraphic(s)
	}
	if v.chance(0.06) {
		s = v.stuff(s)
	}
	if v.chance(0.12) {
		s += v.pick(endings)
	}
	if v.chance(0.09) {
		s = v.typo(s)
	}
	return v.dress(s, asks)
}

// plain returns q in its most usual form, or in small letters without punctuation.
func (v varier) plain(q string) string {
	if strings.TrimRight(q, "?.! ") == "" {
		return q
	}
	return v.dress(strings.TrimRight(q, "?.! "), isQuestion(q))
}

// dress chooses capitals and punctuation.
func (v varier) dress(s string, asks bool) string {
	mark := "."
	if asks {
		mark = "?"
	}
	switch r := v.Float64(); {
	case r < 0.30: // small letters, nothing else
		return strings.ToLower(s)
	case r < 0.45:
		return strings.ToLower(s) + mark
	case r < 0.50:
		return strings.ReplaceAll(strings.ToLower(s), "'", "")
	case r < 0.60:
		return upperFirst(names(s))
	}
	if !asks && v.chance(0.5) {
		mark = ""
	}
	return upperFirst(names(s)) + mark
}

var asking = regexp.MustCompile(`(?i)^(what|whats|what's|how|where|when|who|whom|whose|why|which|can|could|do|does|did|is|are|am|will|would|should|may|must|has|have|was|were)\b`)

// isQuestion tells whether a sentence asks, rather than tells or bids.
func isQuestion(s string) bool {
	return strings.HasSuffix(strings.TrimSpace(s), "?") || asking.MatchString(s)
}

// proper are words that are written with capitals; people often do not.
var proper = regexp.MustCompile(`(?i)\b(alphaos|alpha|gguf|uefi|usb|qemu|mac|macs|linux|windows|limine|llama|qwen|mistral|ram|cpu|gpu|ai|fat32|ovmf|json|english|debian|ubuntu|go|i|i'm|i've|i'd|i'll)\b`)

var capitals = map[string]string{
	"alphaos": "AlphaOS", "alpha": "Alpha", "gguf": "GGUF", "uefi": "UEFI", "usb": "USB", "qemu": "QEMU",
	"mac": "Mac", "macs": "Macs", "linux": "Linux", "windows": "Windows", "limine": "Limine", "llama": "Llama",
	"qwen": "Qwen", "mistral": "Mistral", "ram": "RAM", "cpu": "CPU", "gpu": "GPU", "ai": "AI", "fat32": "FAT32",
	"ovmf": "OVMF", "json": "JSON", "english": "English", "debian": "Debian", "ubuntu": "Ubuntu",
	"i": "I", "i'm": "I'm", "i've": "I've", "i'd": "I'd", "i'll": "I'll",
}

// names writes names as they should be, but for those inside commands and file names.
func names(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if !strings.ContainsAny(w, "/._=<>|@") {
			words[i] = proper.ReplaceAllStringFunc(w, func(m string) string {
				if c, ok := capitals[strings.ToLower(m)]; ok {
					return c
				}
				return m
			})
		}
	}
	return strings.Join(words, " ")
}

func upperFirst(s string) string {
	if s == "" || strings.HasPrefix(s, "/") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// lowerFirst makes the first letter small, unless its word is a name.
func lowerFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if word == "" || word == "I" || strings.HasPrefix(word, "I'") || strings.ToLower(word[1:]) != word[1:] {
		return s
	}
	if c, ok := capitals[strings.ToLower(word)]; ok && c == word {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// openings go before any question.
var openings = []string{
	"hi, ", "hi, ", "hello, ", "hello, ", "hey, ", "hi alpha, ", "hello alpha, ", "hey alpha, ", "alpha, ", "ok, ", "okay, ",
	"so, ", "so ", "and ", "and ", "also, ", "now, ", "well, ", "hmm, ", "please, ", "excuse me, ", "sorry, ", "good morning, ",
	"good evening, ", "hi there, ", "hello there, ", "one question: ", "a question: ", "quick question: ", "quick question, ",
	"i have a question: ", "i have a question, ", "another question: ", "one more question: ", "next question: ", "i am new here, ",
	"i'm new to this, ", "just wondering, ", "i was wondering, ", "tell me, ", "please tell me, ", "can you tell me, ",
	"could you tell me, ", "do you know, ", "i would like to know, ", "i want to know: ", "help me please, ", "by the way, ",
	"say, ", "thanks, ", "thank you, ", "good, ", "great, ", "right, ", "just to be sure, ", "to be sure: ", "i forgot, ",
	"maybe a stupid question, ", "sorry to ask, ", "in general, ",
}

// endings go behind any question.
var endings = []string{
	" please", ", please", " please", ", thanks", " thanks", ", thank you", ", alpha", " exactly", ", in short", " then",
	", i am new to this", ", i want to know", ", do you know", ", can you tell me",
}

// wonder goes before an indirect question.
var wonder = []string{
	"can you tell me ", "could you tell me ", "could you explain ", "can you explain ", "please tell me ", "please explain ",
	"i was wondering ", "i wonder ", "i want to know ", "i would like to know ", "i'd like to know ", "do you know ", "tell me ",
	"i need to know ", "i am not sure ", "i have no idea ", "explain to me ", "help me understand ",
}

// An order is a pattern of a direct question and its indirect form.
type order struct {
	direct   *regexp.Regexp
	indirect string
}

var orders = []order{
	{regexp.MustCompile(`(?i)^how (?:do|can|would|should) i (.+)$`), "how i can $1"},
	{regexp.MustCompile(`(?i)^how (?:do|can|would) you (.+)$`), "how you $1"},
	{regexp.MustCompile(`(?i)^how to (.+)$`), "how to $1"},
	{regexp.MustCompile(`(?i)^(what|where|who) (is|are) ((?:the|a|an|my|your|this|these|those|its) \w+(?: \w+)?)$`), "$1 $3 $2"},
	{regexp.MustCompile(`(?i)^(what|where|who) (is|are) ([\w/.]+)$`), "$1 $3 $2"},
	{regexp.MustCompile(`(?i)^(what|where) (can|should|must|could) (i|it|you|we|alphaos|they) (.+)$`), "$1 $3 $2 $4"},
	{regexp.MustCompile(`(?i)^(what|which \w+|where|when|why) do (i|you|we|they|people) (.+)$`), "$1 $2 $3"},
	{regexp.MustCompile(`(?i)^what (happens|else|kind|kinds|sort|if|comes|makes)\b(.*)$`), "what $1$2"},
	{regexp.MustCompile(`(?i)^what does ([\w/."' ]+) do$`), "what $1 does"},
	{regexp.MustCompile(`(?i)^what does ([\w/."' ]+) mean$`), "what $1 means"},
	{regexp.MustCompile(`(?i)^how does ([\w/." ]+) work$`), "how $1 works"},
	{regexp.MustCompile(`(?i)^(can|could|should|must|will|would|may) (i|it|you|we|alphaos|they) (.+)$`), "if $2 $1 $3"},
	{regexp.MustCompile(`(?i)^do (i|you|we|they) (.+)$`), "if $1 $2"},
	{regexp.MustCompile(`(?i)^(is|are) (it|there|they|you|alphaos|this) (.+)$`), "if $2 $1 $3"},
	{regexp.MustCompile(`(?i)^how (much|many|large|big|fast|long|old) (.+)$`), "how $1 $2"},
}

// indirect wraps a question, "can you tell me how I can load a model".
func (v varier) indirect(s string) string {
	s = lowerFirst(s)
	for _, o := range orders {
		if o.direct.MatchString(s) {
			return v.pick(wonder) + o.direct.ReplaceAllString(s, o.indirect)
		}
	}
	return v.pick(openings) + lowerFirst(s)
}

var (
	howDo  = regexp.MustCompile(`(?i)^how (?:do|can|would|should) i (.+)$`)
	whatIs = regexp.MustCompile(`(?i)^what (is|are) ((?:the |a |an )?[\w.]+(?: \w+)?)$`)
	canI   = regexp.MustCompile(`(?i)^can i (.+)$`)
)

// reorder puts what is asked about first.
func (v varier) reorder(s string) string {
	if m := howDo.FindStringSubmatch(s); m != nil {
		return v.pick([]string{"i want to " + m[1] + ", how do i do that", "i would like to " + m[1] + ", how", m[1] + ": how do i do that",
			"i need to " + m[1], "i want to " + m[1], "how to " + m[1], "what is the way to " + m[1], "what must i do to " + m[1],
			"help me " + m[1], "show me how to " + m[1], "i don't know how to " + m[1], "i am trying to " + m[1], "what is the command to " + m[1],
			"please help me to " + m[1], "i would like to " + m[1] + " now", "teach me to " + m[1], "i have to " + m[1] + ", what now", "any way to " + m[1]})
	}
	if m := whatIs.FindStringSubmatch(s); m != nil {
		pronoun := "that"
		if strings.EqualFold(m[1], "are") {
			pronoun = "those"
		}
		return v.pick([]string{m[2] + ", what " + m[1] + " " + pronoun, m[2] + " - what " + m[1] + " " + pronoun, "explain " + m[2], "tell me about " + m[2],
			"what " + m[1] + " " + m[2] + " about", "what exactly " + m[1] + " " + m[2], "what do you mean by " + m[2], "the meaning of " + m[2], "please define " + m[2],
			"i do not know what " + m[2] + " " + m[1], "never heard of " + m[2] + ", what " + m[1] + " " + pronoun})
	}
	if m := canI.FindStringSubmatch(s); m != nil {
		return v.pick([]string{"i want to " + m[1] + ", can i", "i would like to " + m[1] + ", is that possible", "is there a way to " + m[1],
			"would it be possible to " + m[1], m[1] + ", can i do that", "is it allowed to " + m[1]})
	}
	return s
}

var filler = regexp.MustCompile(`(?i)\b(the|a|an|do i|does|do|of my|my)\s`)

// telegraphic leaves out the small words, as in "how load model".
func telegraphic(s string) string { return filler.ReplaceAllString(s, "") }

// stuff adds a word that means nothing, behind the third word.
func (v varier) stuff(s string) string {
	head, _ := cutCommand(s)
	words := strings.Split(s, " ")
	if strings.Count(head, " ") < 3 {
		return s
	}
	return strings.Join(words[:3], " ") + " " + v.pick([]string{"actually", "really", "just", "now", "please", "maybe", "again", "simply"}) + " " + strings.Join(words[3:], " ")
}

// A swap is words that may stand for each other: what matches from becomes one of to.
type swap struct {
	from *regexp.Regexp
	to   []string
}

func words(pattern string, to ...string) swap {
	return swap{regexp.MustCompile(`(?i)\b(?:` + pattern + `)\b`), to}
}

func begins(pattern string, to ...string) swap {
	return swap{regexp.MustCompile(`(?i)^(?:` + pattern + `)\b`), to}
}

var swaps = []swap{
	// how a question begins
	begins(`how do i|how can i`, "how do i", "how can i", "how to", "how do you", "how would i", "how should i", "how does one", "how could i",
		"what do i do to", "what should i do to", "what do i have to do to", "what is the way to", "what is the best way to", "what are the steps to"),
	begins(`can i`, "can i", "could i", "is it possible to", "am i able to", "may i", "can you", "can one", "am i allowed to", "is there any way to", "is there a way to"),
	begins(`what is`, "what's", "whats", "what is", "what exactly is", "what is meant by"),
	begins(`what are`, "what are", "which are", "what exactly are"),
	begins(`what happens (?:if|when)`, "what happens if", "what happens when", "what if", "what will happen if", "what would happen if", "what does it do if", "what goes on when"),
	begins(`do i need`, "do i need", "must i have", "do i have to have", "will i need", "should i have"),
	begins(`do i have to`, "do i have to", "must i", "do i need to", "is it necessary to", "should i", "am i supposed to"),
	begins(`is there`, "is there", "do you have", "does alphaos have", "is there any"),
	begins(`are there`, "are there", "do you have", "does alphaos have", "are there any"),
	begins(`why is`, "why is", "why's", "what is the reason that", "for what reason is"),
	begins(`why does`, "why does", "what is the reason that", "how come"),
	begins(`where is`, "where is", "where do i find", "where can i find", "in which place is"),
	begins(`where are`, "where are", "where do i find", "where can i find"),
	begins(`which`, "which", "what"),
	begins(`tell me about|explain`, "tell me about", "explain", "describe", "tell me something about", "i want to know about", "what can you tell me about", "what do you know about", "say something about", "i want to understand"),
	begins(`does it|does alphaos`, "does it", "does alphaos", "will it", "will alphaos", "can it"),
	// AlphaOS and its things
	words(`(does|is|can|will|has) alphaos`, "$1 alphaos", "$1 it", "$1 this", "$1 this system", "$1 alpha os", "$1 the system", "$1 this thing", "$1 your system"),
	words(`in alphaos|on alphaos|with alphaos`, "in alphaos", "on alphaos", "with alphaos", "here", "in this system", "in alpha os", "in here", "on this stick"),
	words(`my conversations|the conversations`, "my conversations", "our conversations", "my chats", "my talks", "our talks", "our chats", "the conversations", "what we said"),
	words(`(my|the|our|this) conversation`, "$1 conversation", "$1 chat", "$1 talk", "our talk", "our chat"),
	words(`conversation`, "conversation", "chat", "talk"),
	words(`conversations`, "conversations", "chats", "talks"),
	words(`a new conversation`, "a new conversation", "a new chat", "a fresh conversation", "a fresh chat", "a new talk", "an empty talk"),
	words(`(?:old|earlier|previous|past) (conversations?|chats?|talks?)`, "old $1", "earlier $1", "previous $1", "past $1", "former $1"),
	words(`the drive`, "the drive", "the stick", "the usb stick", "my drive", "my stick", "the usb drive", "the usb"),
	words(`usb (?:stick|drive)|flash drive`, "usb stick", "usb drive", "flash drive", "memory stick", "thumb drive", "stick", "pen drive"),
	words(`(my|the|this) (?:computer|machine)`, "$1 computer", "$1 machine", "$1 pc", "$1 laptop"),
	words(`another computer`, "another computer", "another machine", "another pc", "my other computer", "a second computer"),
	words(`folder`, "folder", "directory"),
	words(`screen`, "screen", "display", "monitor"),
	words(`a model`, "a model", "a language model", "an ai model"),
	words(`models`, "models", "language models", "ai models"),
	words(`another model`, "another model", "a different model", "some other model", "the other model"),
	words(`(?:big|large) model`, "big model", "large model", "huge model", "very large model"),
	words(`how much (?:memory|ram)`, "how much memory", "how much ram", "how many gigabytes of memory", "how many gb of ram"),
	words(`(of|enough|more|less|the|my|in) (?:memory|ram)`, "$1 memory", "$1 ram"),
	words(`gigabytes?|gb`, "gigabytes", "gb", "gigs"),
	words(`internet`, "internet", "network", "web", "net"),
	words(`power (?:cut|failure|outage|loss)`, "power cut", "power failure", "power outage", "blackout", "loss of power"),
	words(`key`, "key", "button", "key"),
	words(`message`, "message", "text", "sentence"),
	// what is done with them
	words(`shut down alphaos|switch off alphaos|turn off alphaos`, "shut down alphaos", "switch off alphaos", "turn off alphaos", "power off alphaos", "turn it off", "shut it down", "power it down"),
	words(`(?:shut down|switch off|turn off) the (?:machine|computer)`, "shut down the machine", "switch off the machine", "turn off the computer", "power off the machine", "shut down the computer", "power down the computer"),
	words(`shut down|turn off|switch off`, "shut down", "turn off", "switch off", "power off", "power down"),
	words(`(?:boot|start) alphaos`, "boot alphaos", "start alphaos", "run alphaos", "launch alphaos", "bring up alphaos"),
	words(`(?:boot|start) from`, "boot from", "start from"),
	words(`restart`, "restart", "reboot", "start again"),
	words(`(?:run|work) on`, "run on", "work on"),
	words(`delete|erase|remove`, "delete", "remove", "erase", "get rid of", "wipe", "wipe out", "throw away"),
	words(`stop (an|the|your|this|my) answer`, "stop $1 answer", "halt $1 answer", "break off $1 answer", "interrupt $1 answer", "cancel $1 answer", "end $1 answer"),
	words(`(is|are|be|gets|get) (?:saved|stored|kept)`, "$1 saved", "$1 stored", "$1 kept", "$1 written down"),
	words(`(?:change|switch) (the|my|to another|to a different) model`, "change $1 model", "switch $1 model", "swap $1 model"),
	words(`(?:add|install) a (new |bigger |larger |second |)model`, "add a ${1}model", "install a ${1}model", "put in a ${1}model", "get a ${1}model", "copy a ${1}model in here"),
	words(`download`, "download", "get", "fetch"),
	words(`pull the plug|pull out the plug`, "pull the plug", "cut the power", "unplug it"),
	words(`made`, "made", "created", "built"),
	words(`make (a|the|my|an)`, "make $1", "create $1", "build $1"),
	words(`(?:find|see|view) (the|my|all|an)`, "find $1", "see $1", "look at $1", "view $1"),
	words(`show`, "show", "display", "list"),
	words(`remember`, "remember", "recall", "still know"),
	words(`lost`, "lost", "gone"),
	words(`wrong`, "wrong", "incorrect", "not right"),
	words(`supported`, "supported", "accepted", "possible here"),
	words(`faster`, "faster", "quicker"),
	words(`slow`, "slow", "so slow", "very slow"),
	words(`bigger|larger`, "bigger", "larger"),
	words(`big|large`, "big", "large"),
	words(`answer`, "answer", "reply", "response"),
	words(`answers`, "answers", "replies", "responses"),
	words(`kind of`, "kind of", "sort of", "type of"),
	words(`kinds of`, "kinds of", "sorts of", "types of"),
}

// cutCommand cuts a question before a command, a path or what is quoted.
func cutCommand(s string) (head, command string) {
	if i := strings.IndexAny(s, "/\""); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// otherWords replaces some words by others of the same meaning. Nothing behind a
// slash, a command, is touched.
func (v varier) otherWords(s string) string {
	head, command := cutCommand(s)
	for _, w := range swaps {
		if v.chance(0.35) && w.from.MatchString(head) {
			head = w.from.ReplaceAllString(head, v.pick(w.to))
		}
	}
	return head + command
}

// typo makes a slip in one word: a letter is dropped, doubled, or changes places with
// the next one. Commands, file names and short words are spared.
func (v varier) typo(s string) string {
	head, _ := cutCommand(s)
	words := strings.Split(s, " ")
	most := strings.Count(head, " ") + 1
	for range 4 {
		i := v.IntN(most)
		w := words[i]
		if len(w) < 4 || strings.IndexFunc(w, func(r rune) bool { return !unicode.IsLetter(r) || r > unicode.MaxASCII }) >= 0 {
			continue
		}
		at := 1 + v.IntN(len(w)-2)
		switch v.IntN(3) {
		case 0:
			w = w[:at] + w[at+1:]
		case 1:
			w = w[:at] + w[at:at+1] + w[at:]
		default:
			w = w[:at] + w[at+1:at+2] + w[at:at+1] + w[at+2:]
		}
		words[i] = w
		break
	}
	return strings.Join(words, " ")
}

var notWord = regexp.MustCompile(`[^a-z0-9/ ]+`)

// plainWords reduces a question to its words: small letters, no punctuation. One without
// words is left as it is.
func plainWords(s string) string {
	p := strings.ReplaceAll(strings.ToLower(s), "'", "")
	if p = strings.Join(strings.Fields(notWord.ReplaceAllString(p, " ")), " "); p == "" {
		return s
	}
	return p
}

// Normalize reduces a question to what it asks: its words without a polite opening or
// ending.
func Normalize(q string) string {
	s := plainWords(q)
	for {
		before := s
		for _, o := range politeBefore {
			s = strings.TrimPrefix(s, o)
		}
		for _, e := range politeAfter {
			s = strings.TrimSuffix(s, e)
		}
		if s == before {
			return s
		}
	}
}

var politeBefore, politeAfter = func() (before, after []string) {
	for _, o := range append(openings[:len(openings):len(openings)], wonder...) {
		before = append(before, plainWords(o)+" ")
	}
	for _, e := range endings {
		after = append(after, " "+plainWords(e))
	}
	return before, after
}()
