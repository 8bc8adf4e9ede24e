package main

import (
	"strings"
	"testing"
)

// White space at the beginning of an answer is left out, but not before stop strings were looked for: as
// the machine's assistant does it.
func TestAnswerBegins(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		want   string
		done   bool
	}{
		{[]string{" \t", "\r\n", "\tHello ", "\tyou \n"}, "Hello \tyou \n", false},
		{[]string{"\n", "\nUser: hi"}, "", true},
		{[]string{" \n", "Hi\n\nUs", "ed"}, "Hi\n\nUsed", false},
		{[]string{"\n\n"}, "", false},
	} {
		var out strings.Builder
		w := &answerWriter{out: &out, stops: []string{"\n\nUser:"}, trim: true}
		done := false
		for _, s := range tt.pieces {
			d, err := w.write(s)
			if err != nil {
				t.Fatal(err)
			}
			done = done || d
		}
		if !done {
			w.flush("")
		}
		if out.String() != tt.want || done != tt.done {
			t.Errorf("%q becomes %q, %v", tt.pieces, out.String(), done)
		}
	}
}
