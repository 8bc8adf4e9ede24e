// Package db keeps knowledge.db, a SQLite file in which a person finds everything that is on the drive with ordinary
// programs: what was said, what documents say, what was remembered, settings. docs/knowledge-db.md describes its tables.
//
// It is a projection: written behind the journal and the index of the documents, in spare moments, and never read back as truth. So
// whatever is wrong with it, it is made anew. What makes a cut harmless is told in vfs.go.
//
// A Keeper compares what the file has with what its sources say, and changes what differs, a piece at a time: conversations by
// their time, title and length, then message by message; documents by size, time and hash. Changes are small, so that
// nobody waits for one. What is deleted is overwritten with zeros, and the words of it are taken out of the full-text index, which
// would keep them until it is tidied some day (purge.go).
//
// Of all packages only this one knows SQLite. It imports no file system: a Folder is handed to it.
package db

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Name is what the database's file is called.
const (
	Name        = "knowledge.db"
	journalName = Name + "-journal" // as SQLite calls it
	otherName   = "knowledge-other.db"
)

// Names are the files that the database may consist of, or make.
var Names = []string{Name, journalName, otherName}

// Talk is what was said.
type Talk interface {
	Conversations() []Conversation
	// Messages returns what was said in a conversation; ok is false when it can't be read now.
	Messages(id int) (said []Message, ok bool)
	Settings() map[string]string
	// Deleting tells that something that was deleted is about to be taken off the drive.
	Deleting() bool
}

// Conversation is an entry of the list of conversations. Two that are equal have the same messages.
type Conversation struct {
	ID       int
	Title    string
	Started  time.Time
	Updated  time.Time // of the last message
	Messages int
}

// Message is one turn of a conversation.
type Message struct {
	Role, Text string
	Time       time.Time
	Model      string // that answered
	Partial    bool   // the answer was stopped or cut off
}

// Shelf is what is known of the documents.
type Shelf interface {
	// Documents lists them; ok is false when that is not known yet.
	Documents() (list []Document, ok bool)
	// Chunks are those of a document, in order.
	Chunks(name string) iter.Seq[Chunk]
}

// Document is an entry of the catalogue. Two that are equal have the same chunks.
type Document struct {
	Name, Title, Language string
	Size                  int64
	Modified              time.Time
	Hash                  [32]byte // SHA-256; zero: not known
	Rows, Chunks          int
	Model                 string // of the chunks' vectors; "": they have none
	Note                  string
}

// Chunk is a piece of a document.
type Chunk struct {
	Locator    string
	Page       int // 0: there are no pages
	Text       string
	Start, End int     // in the text of the document, in bytes
	Vector     []int8  // nil: it has none
	Scale      float32 // by which Vector's numbers are multiplied
}

// Facts is what was remembered.
type Facts interface {
	Facts() []Fact
}

// Fact is something that a person asked to remember.
type Fact struct {
	ID   int
	Text string
	Time time.Time
}

// Keeper keeps the database. Sources that are nil leave what is in it of them as it is.
type Keeper struct {
	Folder  Folder
	Talk    Talk
	Shelf   Shelf
	Facts   Facts
	Unclean bool // the last session was cut off: the database is checked before anything is written

	known known // what is in the database
	again bool  // it was made anew, and that was not told yet
	aside bool  // likewise: another program's file was moved
}

// ErrOther says that there is another program's file under the database's name, and one already that was moved out of its way.
var ErrOther = errors.New("there is a file " + Name + " that AlphaOS did not make, and " + otherName + " as well; give one of them another name")

// Keep brings the database up to date until ctx is done, and goes on from there with the next call. What is to be told to the person, if
// anything, is a sentence; an error is the folder's. Nothing but the database depends on it.
func (k *Keeper) Keep(ctx context.Context) (note string, err error) {
	for tries := 0; ; tries++ {
		err = k.keep(ctx)
		var d damage
		if !errors.As(err, &d) {
			break
		}
		if tries == 2 { // it is not the file that is wrong
			return k.note(), err
		}
		k.known, k.Unclean = known{}, true // until it is made
		if err = erase(ctx, k.Folder); err != nil {
			break
		}
		k.again, k.Unclean = true, false
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return k.note(), err
}

// note is what is to be told, once.
func (k *Keeper) note() (text string) {
	switch {
	case k.aside:
		text = "The file " + Name + " was not AlphaOS's own. It is kept as " + otherName + "."
	case k.again:
		text = "The knowledge database, " + Name + ", was damaged and is made anew. Nothing that you said is lost."
	}
	k.again, k.aside = false, false
	return text
}

// keep is one try. The error is errStop when there was no time, a damage when the database is to be made anew.
func (k *Keeper) keep(ctx context.Context) (err error) {
	now := k.look()
	if k.known.loaded && !k.Unclean && !k.known.differs(now) {
		return nil
	}
	if ctx.Err() != nil {
		return errStop
	}
	if !k.known.loaded {
		if err := k.moveAside(); err != nil {
			return err
		}
	}
	s, err := openSession(ctx, k.Folder)
	if err != nil {
		return err
	}
	defer func() {
		if s.open { // and given up
			k.known = known{}
		}
		if cerr := s.close(); err == nil || errors.Is(err, errStop) && cerr != nil {
			err = cerr
		}
	}()
	return s.guard(func() error {
		if k.Unclean {
			if err := s.check(ctx); err != nil {
				return err
			}
			k.Unclean = false
		}
		if !k.known.loaded {
			if err := k.known.load(s); err != nil {
				return err
			}
		}
		if err := k.talk(s, now); err != nil {
			return err
		}
		if err := k.shelve(s, now); err != nil {
			return err
		}
		return k.known.purge(s)
	})
}

// moveAside gives another program's file another name.
func (k *Keeper) moveAside() error {
	other, err := foreign(k.Folder)
	if err != nil || !other {
		return err
	}
	if ok, err := k.Folder.Exists(otherName); err != nil || ok {
		return errors.Join(err, ErrOther)
	}
	k.aside = true
	return k.Folder.Rename(Name, otherName)
}
