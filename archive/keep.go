package archive

// Keeping a file for each conversation, so that any computer can read them.
//
// The files are a projection of the journal: written after it, never read back as truth, and put right whenever they
// are not what it says, as after a power cut. A file is up to date if its time is that of the conversation's last message. A file of
// another name, or without our front matter, is somebody else's and stays.

import (
	"bytes"
	"context"
	"fmt"
	iofs "io/fs"
	"regexp"
	"strings"
	"time"

	"alphaos/store"
)

// Folder is where the files are.
type Folder interface {
	Files() ([]iofs.FileInfo, error) // none if there is no such folder yet
	Head(name string, n int) ([]byte, error)
	// Write gives a file this content and time. It is there whole, or not at all, and nothing of what it had before is left.
	Write(name string, modified time.Time, content []byte) error
	Remove(name string) error // nothing of it is left, but perhaps its name
	// Scrub takes off the medium what is left of the names of files that were removed. What it has not done when ctx is done, or has failed to do, the next
	// call does.
	Scrub(ctx context.Context) error
}

// Keeper keeps the files.
type Keeper struct {
	Store   *store.Store
	Folder  Folder
	Zone    func() *time.Location
	Unclean bool // the last session was cut off: what it wrote last is looked at

	begun  bool
	ours   map[string]time.Time // files that are there, and their times
	others map[string]bool      // files of these names are somebody else's
	done   map[int]kept         // by the conversation's ID
}

// NamesLeft says that all files are as they must be, and yet that names of removed ones could not be taken off the medium.
type NamesLeft struct{ Err error }

func (e NamesLeft) Error() string { return e.Err.Error() }
func (e NamesLeft) Unwrap() error { return e.Err }

// kept is what a file was written from.
type kept struct {
	store.Conversation
	name string
}

var ourName = regexp.MustCompile(`^\d{4,}-\d\d-\d\d-.*\.md$`)

const ourHead = "---\nid: "

// Keep writes the files that are not up to date, the newest first, and removes those of conversations that there are not, until ctx
// is done. That all was done is certain only if ctx is not done then. The error is NamesLeft if only names are left.
func (k *Keeper) Keep(ctx context.Context) error {
	if !k.begun {
		if err := k.begin(ctx); err != nil {
			return err
		}
	}
	list := k.Store.Conversations()
	names := k.names(list)
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	for name := range k.ours {
		if wanted[name] {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := k.Folder.Remove(name); err != nil {
			return err
		}
		delete(k.ours, name)
	}
	for i := len(list) - 1; i >= 0; i-- {
		c, want := list[i], kept{list[i], names[i]}
		if k.done[c.ID] == want {
			continue
		}
		if _, seen := k.done[c.ID]; !seen && k.same(k.ours[want.name], c.Updated) && !(k.Unclean && c.ID == k.Store.Current().ID) {
			k.done[c.ID] = want
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		file := Conversation{Conversation: c, Said: k.Store.Messages(c.ID)}
		for _, m := range file.Said {
			if m.Unread { // the file may still have it
				file.Said = nil
			}
		}
		if len(file.Said) != c.Messages {
			continue
		}
		if err := k.Folder.Write(want.name, c.Updated, Markdown(file, k.Zone())); err != nil {
			return err
		}
		k.ours[want.name], k.done[c.ID] = c.Updated, want
	}
	if err := k.Folder.Scrub(ctx); err != nil && ctx.Err() == nil {
		return NamesLeft{err}
	}
	return nil
}

// same tells whether times are the same on FAT, which counts in twos of seconds.
func (k *Keeper) same(a, b time.Time) bool {
	return a.Truncate(2 * time.Second).Equal(b.Truncate(2 * time.Second))
}

// begin looks at what is there.
func (k *Keeper) begin(ctx context.Context) error {
	files, err := k.Folder.Files()
	if err != nil {
		return err
	}
	k.ours, k.others, k.done = map[string]time.Time{}, map[string]bool{}, map[int]kept{}
	expected := map[string]time.Time{}
	list := k.Store.Conversations()
	for i, name := range k.names(list) {
		expected[name] = list[i].Updated
	}
	for _, f := range files {
		name := f.Name()
		if f.IsDir() || !ourName.MatchString(name) {
			k.others[fold(name)] = true
			continue
		}
		at, ok := expected[name]
		if ok && !k.Unclean && k.same(f.ModTime(), at) {
			k.ours[name] = f.ModTime()
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		head, err := k.Folder.Head(name, len(ourHead))
		switch {
		case err != nil:
			return err
		case string(head) == ourHead:
			k.ours[name] = f.ModTime()
		case len(bytes.Trim(head, "\x00")) == 0: // the power went while it was written
			k.ours[name] = time.Time{}
		default:
			k.others[fold(name)] = true
		}
	}
	k.begun = true
	return nil
}

// names are the names of the conversations' files, each once.
func (k *Keeper) names(list []store.Conversation) []string {
	names, taken := make([]string, len(list)), map[string]bool{}
	for i, c := range list {
		name := Name(Conversation{Conversation: c}, k.Zone(), "md")
		base := strings.TrimSuffix(name, ".md")
		for n := 2; taken[fold(name)] || k.others[fold(name)]; n++ {
			name = fmt.Sprintf("%s-%d.md", base, n)
		}
		taken[fold(name)] = true
		names[i] = name
	}
	return names
}

// fold makes names the same that are the same on FAT.
func fold(name string) string { return strings.ToUpper(name) }
