package db

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// known is what is in the database, as far as it takes to see that nothing differs.
type known struct {
	loaded    bool
	talk      map[int]Conversation
	documents map[string]Document
	settings  map[string]string
	facts     []Fact
	purging   map[string]bool // indexes that still have words of what was deleted
	loose     bool            // there may be more free pages than are of use
}

// seen is what the sources say now.
type seen struct {
	said      bool // what follows is known
	talk      []Conversation
	settings  map[string]string
	facts     []Fact
	documents []Document
	shelf     bool // documents are known
}

func (k *Keeper) look() (now seen) {
	if now.said = k.Talk != nil; now.said {
		now.talk, now.settings = k.Talk.Conversations(), k.Talk.Settings()
		for i, c := range now.talk {
			now.talk[i].Title, now.talk[i].Started, now.talk[i].Updated = clean(c.Title), even(c.Started), even(c.Updated)
		}
	}
	if k.Facts != nil {
		now.facts = k.Facts.Facts()
		for i, f := range now.facts {
			now.facts[i].Text, now.facts[i].Time = clean(f.Text), even(f.Time)
		}
	}
	if k.Shelf != nil {
		now.documents, now.shelf = k.Shelf.Documents()
		for i := range now.documents {
			d := &now.documents[i]
			d.Name, d.Title, d.Note, d.Modified = clean(d.Name), clean(d.Title), clean(d.Note), even(d.Modified)
		}
	}
	return now
}

// differs tells whether there is something to write.
func (k *known) differs(now seen) bool {
	if len(k.purging) > 0 || k.loose {
		return true
	}
	if now.said && (len(now.talk) != len(k.talk) || !maps.Equal(now.settings, k.settings) ||
		slices.ContainsFunc(now.talk, func(c Conversation) bool { return k.talk[c.ID] != c })) {
		return true
	}
	if now.facts != nil && !slices.Equal(now.facts, k.facts) {
		return true
	}
	return now.shelf && (len(now.documents) != len(k.documents) ||
		slices.ContainsFunc(now.documents, func(d Document) bool { return k.documents[d.Name] != d }))
}

// load reads what there is.
func (k *known) load(s *session) error {
	*k = known{talk: map[int]Conversation{}, documents: map[string]Document{}, settings: map[string]string{}, purging: map[string]bool{}, loose: true}
	err := s.each("SELECT id, title, started, updated, messages FROM conversations", func(row *sqlite3.Stmt) error {
		c := Conversation{row.ColumnInt(0), row.ColumnText(1), parse(row.ColumnText(2)), parse(row.ColumnText(3)), row.ColumnInt(4)}
		k.talk[c.ID] = c
		return nil
	})
	if err == nil {
		err = s.each("SELECT name, title, language, size, modified, sha256, table_rows, chunks, model, note FROM documents", func(row *sqlite3.Stmt) error {
			d := Document{Name: row.ColumnText(0), Title: row.ColumnText(1), Language: row.ColumnText(2), Size: row.ColumnInt64(3), Modified: parse(row.ColumnText(4)),
				Rows: row.ColumnInt(6), Chunks: row.ColumnInt(7), Model: row.ColumnText(8), Note: row.ColumnText(9)}
			copy(d.Hash[:], row.ColumnRawBlob(5))
			k.documents[d.Name] = d
			return nil
		})
	}
	if err == nil {
		err = s.each("SELECT name, value FROM settings", func(row *sqlite3.Stmt) error {
			k.settings[row.ColumnText(0)] = row.ColumnText(1)
			return nil
		})
	}
	if err == nil {
		err = s.each("SELECT id, text, time FROM facts ORDER BY id", func(row *sqlite3.Stmt) error {
			k.facts = append(k.facts, Fact{row.ColumnInt(0), row.ColumnText(1), parse(row.ColumnText(2))})
			return nil
		})
	}
	if err == nil {
		err = s.each("SELECT name FROM meta WHERE name LIKE 'purge %'", func(row *sqlite3.Stmt) error {
			k.purging[strings.TrimPrefix(row.ColumnText(0), "purge ")] = true
			return nil
		})
	}
	k.loaded = err == nil
	return err
}

// talk brings what was said up to date, the newest conversation first.
func (k *Keeper) talk(s *session, now seen) error {
	if k.Facts != nil && !slices.Equal(now.facts, k.known.facts) {
		if err := s.put("DELETE FROM facts"); err != nil {
			return err
		}
		for _, f := range now.facts {
			if err := s.put("INSERT INTO facts VALUES (?, ?, ?)", f.ID, f.Text, format(f.Time)); err != nil {
				return err
			}
		}
		if err := s.commit(); err != nil {
			return err
		}
		k.known.facts = slices.Clone(now.facts)
	}
	if k.Talk == nil {
		return nil
	}
	there := map[int]bool{}
	for _, c := range now.talk {
		there[c.ID] = true
	}
	for id, c := range k.known.talk {
		if there[id] {
			continue
		}
		if err := k.forget(s, c, 0, true); err != nil {
			return err
		}
		if err := s.put("DELETE FROM conversations WHERE id = ?", id); err != nil {
			return err
		}
		if err := s.commit(); err != nil {
			return err
		}
		delete(k.known.talk, id)
	}
	for i := len(now.talk) - 1; i >= 0; i-- {
		c := now.talk[i]
		if k.known.talk[c.ID] == c {
			continue
		}
		said, ok := k.Talk.Messages(c.ID)
		if !ok || len(said) != c.Messages { // it comes when it can be read, and has not changed meanwhile
			continue
		}
		if err := k.tell(s, c, said); err != nil {
			return err
		}
	}
	if !maps.Equal(now.settings, k.known.settings) {
		if err := s.put("DELETE FROM settings"); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(now.settings)) {
			if err := s.put("INSERT INTO settings VALUES (?, ?)", clean(name), clean(now.settings[name])); err != nil {
				return err
			}
		}
	}
	if err := s.commit(); err != nil {
		return err
	}
	k.known.settings = now.settings
	return nil
}

var errDiffers = errors.New("a message differs")

// tell makes a conversation what was said in it: what follows the first message that differs is replaced. A row of conversations says
// at the end of each change how much of it is there.
func (k *Keeper) tell(s *session, c Conversation, said []Message) error {
	same := 0
	err := s.each("SELECT role, text, time, model, partial FROM messages WHERE conversation = ? ORDER BY position", func(row *sqlite3.Stmt) error {
		if same < len(said) {
			if m := said[same]; row.ColumnText(0) == m.Role && row.ColumnText(1) == clean(m.Text) && row.ColumnText(2) == format(m.Time) &&
				row.ColumnText(3) == clean(m.Model) && row.ColumnBool(4) == m.Partial {
				same++
				return nil
			}
		}
		return errDiffers
	}, c.ID)
	if err != nil && !errors.Is(err, errDiffers) {
		return err
	}
	have := func(n int) error {
		upto := c.Started
		if n > 0 {
			upto = even(said[n-1].Time)
		}
		at := Conversation{c.ID, c.Title, c.Started, upto, n}
		if n == c.Messages {
			at = c
		}
		k.known.talk[c.ID] = at
		return s.put("INSERT INTO conversations VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title, started = excluded.started, updated = excluded.updated, messages = excluded.messages",
			c.ID, at.Title, format(at.Started), format(at.Updated), at.Messages)
	}
	if old, ok := k.known.talk[c.ID]; ok && old.Messages > same {
		if err := k.forget(s, old, same, k.Talk.Deleting()); err != nil {
			return err
		}
	}
	if err := have(same); err != nil {
		return err
	}
	for i := same; i < len(said); i++ {
		m := said[i]
		if err := s.put("INSERT INTO messages (conversation, position, role, text, time, model, partial) VALUES (?, ?, ?, ?, ?, ?, ?)",
			c.ID, i+1, m.Role, clean(m.Text), format(m.Time), clean(m.Model), m.Partial); err != nil {
			return err
		}
		if s.bytes+len(m.Text) >= batchBytes || i == len(said)-1 {
			if err := have(i + 1); err != nil {
				return err
			}
		}
		if err := s.wrote(len(m.Text) + 100); err != nil {
			return err
		}
	}
	return nil
}

// forget takes out the messages of a conversation behind the first keep.
func (k *Keeper) forget(s *session, c Conversation, keep int, purge bool) error {
	if purge {
		if err := k.known.purgeLater(s, "messages_fts"); err != nil {
			return err
		}
	}
	for n := c.Messages; n > keep; {
		n = max(keep, n-50)
		if err := s.put("DELETE FROM messages WHERE conversation = ? AND position > ?", c.ID, n); err != nil {
			return err
		}
		c.Messages, c.Updated = n, c.Started
		k.known.talk[c.ID] = c
		if err := s.put("UPDATE conversations SET messages = ?, updated = ? WHERE id = ?", n, format(c.Updated), c.ID); err != nil {
			return err
		}
		if err := s.wrote(batchBytes / 4); err != nil {
			return err
		}
	}
	k.known.loose = true
	return nil
}

// shelve brings the documents up to date.
func (k *Keeper) shelve(s *session, now seen) error {
	if !now.shelf {
		return nil
	}
	there := map[string]Document{}
	for _, d := range now.documents {
		there[d.Name] = d
	}
	for name, d := range k.known.documents {
		want, ok := there[name]
		begun := want
		begun.Chunks = d.Chunks
		if ok && (begun == d && d.Chunks <= want.Chunks) { // the same, or a part of it
			continue
		}
		if !ok {
			if err := k.known.purgeLater(s, "chunks_fts"); err != nil {
				return err
			}
		}
		if err := k.discard(s, d); err != nil {
			return err
		}
	}
	for _, d := range now.documents {
		if k.known.documents[d.Name] == d {
			continue
		}
		if err := k.add(s, d); err != nil {
			return err
		}
	}
	return s.commit()
}

// discard takes a document out.
func (k *Keeper) discard(s *session, d Document) error {
	id, err := s.number("SELECT id FROM documents WHERE name = ?", d.Name)
	if err != nil {
		return err
	}
	for {
		last, err := s.number("SELECT max(position) FROM chunks WHERE document = ?", id)
		if err != nil {
			return err
		}
		if last == 0 {
			break
		}
		// What is left is part of no version of it.
		d.Size, d.Chunks = -1, int(last)
		k.known.documents[d.Name] = d
		if err := s.put("DELETE FROM chunks WHERE document = ? AND position > ?", id, last-20); err != nil {
			return err
		}
		if err := s.put("UPDATE documents SET size = -1, chunks = ? WHERE id = ?", max(last-20, 0), id); err != nil {
			return err
		}
		if err := s.wrote(20 * 1500); err != nil {
			return err
		}
	}
	if err := s.put("DELETE FROM documents WHERE id = ?", id); err != nil {
		return err
	}
	delete(k.known.documents, d.Name)
	k.known.loose = true
	return s.wrote(100)
}

// add puts a document in, or goes on with that.
func (k *Keeper) add(s *session, d Document) error {
	have := k.known.documents[d.Name].Chunks
	begun := d
	begun.Chunks = have
	if have == 0 {
		var hash []byte
		if d.Hash != [32]byte{} {
			hash = d.Hash[:]
		}
		if err := s.put("INSERT INTO documents (name, title, language, size, modified, sha256, table_rows, chunks, model, note) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT (name) DO NOTHING",
			d.Name, d.Title, d.Language, d.Size, format(d.Modified), blob(hash), d.Rows, d.Model, d.Note); err != nil {
			return err
		}
		k.known.documents[d.Name] = begun
		if err := s.wrote(100 + len(d.Note)); err != nil {
			return err
		}
	}
	id, err := s.number("SELECT id FROM documents WHERE name = ?", d.Name)
	if err != nil {
		return err
	}
	n := 0
	for c := range k.Shelf.Chunks(d.Name) {
		if n++; n <= have {
			continue
		}
		if n > d.Chunks {
			break
		}
		var page any
		if c.Page > 0 {
			page = c.Page
		}
		text := clean(c.Text)
		if err := s.put("INSERT INTO chunks (document, position, locator, page, text, start_byte, end_byte) VALUES (?, ?, ?, ?, ?, ?, ?)",
			id, n, clean(c.Locator), page, text, c.Start, c.End); err != nil {
			return err
		}
		if c.Vector != nil {
			vector := make([]byte, len(c.Vector))
			for i, v := range c.Vector {
				vector[i] = byte(v)
			}
			if err := s.put("INSERT INTO embeddings VALUES (?, ?, ?)", s.conn.LastInsertRowID(), float64(c.Scale), vector); err != nil {
				return err
			}
		}
		size := len(text) + len(c.Vector) + 100
		if s.bytes+size >= batchBytes || n == d.Chunks {
			begun.Chunks = n
			if err := s.put("UPDATE documents SET chunks = ? WHERE id = ?", n, id); err != nil {
				return err
			}
			k.known.documents[d.Name] = begun
		}
		if err := s.wrote(size); err != nil {
			return err
		}
	}
	return nil
}

func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

const timeFormat = "2006-01-02T15:04:05.000Z"

func format(t time.Time) string { return t.UTC().Format(timeFormat) }

func parse(text string) time.Time {
	t, err := time.Parse(timeFormat, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// even is a time as the database gives it back.
func even(t time.Time) time.Time { return parse(format(t)) }

// clean is a text as other programs take it: valid UTF-8 without NUL, at which some end.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}
