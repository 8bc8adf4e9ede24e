package console

// Style says what a piece of text is; the theme says how that looks.
type Style uint8

// The styles. ReadLine and the recognised speaker's name set Prompt, Input, Name and Answer themselves.
const (
	Plain   Style = iota // the program's own words
	Prompt               // "you> "
	Input                // what the person types
	Name                 // "alpha> "
	Answer               // what the model says
	Dim                  // notes and statistics
	Notice               // something to know
	Failure              // something went wrong
	bar                  // a progress bar
	numStyles
)

// Colours are 0x00RRGGBB.
const background = 0x14181D

var theme = [numStyles]struct {
	colour uint32
	bold   bool
}{
	Plain:   {0xC3C8CF, false},
	Prompt:  {0x84C5A4, true},
	Input:   {0xF1F2EE, false},
	Name:    {0x8CB4EA, true},
	Answer:  {0xD9DCD8, false},
	Dim:     {0x7A828D, false},
	Notice:  {0xDFB771, false},
	Failure: {0xE68484, false},
	bar:     {0x8CB4EA, false},
}

// cursorColour is the block under the character that typing would move.
const cursorColour = 0x84C5A4
