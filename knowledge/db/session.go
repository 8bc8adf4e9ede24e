package db

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

const (
	memoryMost = 64 << 20  // bytes that SQLite may use
	batchBytes = 128 << 10 // of text and vectors in one change, which is what has to be waited for
)

// errStop says that there is no time left. What was not yet final is as it was.
var errStop = errors.New("stopped")

// damage is what is wrong with a database; it is made anew.
type damage struct{ what error }

func (d damage) Error() string { return "the knowledge database is damaged: " + d.what.Error() }
func (d damage) Unwrap() error { return d.what }

// session is an open database. It is opened when there is something to write, and closed behind that: at rest it needs no memory.
type session struct {
	ctx   context.Context
	disk  *disk
	conn  *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
	open  bool // a change
	bytes int  // in it
}

// openSession opens the database, and makes a new one if there is none. The error is a damage when it can't be used.
func openSession(ctx context.Context, folder Folder) (s *session, err error) {
	s = &session{ctx: ctx, disk: mount(folder), stmts: map[string]*sqlite3.Stmt{}}
	defer func() {
		if err != nil {
			s.close() // what it says has the same cause
		}
	}()
	err = s.guard(func() (err error) {
		limited := sqlite3.WithMaxMemory(context.Background(), memoryMost)
		if s.conn, err = sqlite3.OpenContext(limited, "file:"+Name+"?vfs="+s.disk.name); err != nil {
			return err
		}
		if err = fts5.Register(s.conn); err != nil {
			return err
		}
		if s.disk.database == nil || s.disk.database.size == 0 {
			if _, err = s.conn.FileControl("main", sqlite3.FCNTL_RESERVE_BYTES, sums); err == nil {
				err = s.conn.Exec(setup + "BEGIN; " + fresh) // what is fresh is in the same change as the tables
			}
			if s.open = err == nil; s.open {
				err = s.make()
			}
			return err
		}
		if err = s.conn.Exec(setup); err == nil {
			err = s.verify()
		}
		if err == nil { // SQLite has looked at the journal: what is still there of one means nothing
			err = s.disk.Delete(journalName, false)
		}
		return err
	})
	return s, err
}

// make fills a new file with tables, all in one change.
func (s *session) make() error {
	for _, t := range schema {
		if err := s.put(t.sql); err != nil {
			return err
		}
	}
	for _, sql := range []string{fmt.Sprintf("PRAGMA application_id = %d", application), fmt.Sprintf("PRAGMA user_version = %d", version)} {
		if err := s.put(sql); err != nil {
			return err
		}
	}
	if err := s.put("INSERT INTO meta VALUES ('about', 'A view of an AlphaOS drive, made anew when it is missing. What is changed here is lost: conversations are in the journal, documents in their files.')"); err != nil {
		return err
	}
	return s.commit()
}

// verify compares the tables with the schema.
func (s *session) verify() error {
	id, err := s.number("PRAGMA application_id")
	if err != nil {
		return err
	}
	v, err := s.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if id != application || v != version {
		return damage{fmt.Errorf("it is of version %d, not %d", v, version)}
	}
	if n, err := s.conn.FileControl("main", sqlite3.FCNTL_RESERVE_BYTES); err != nil || n != sums {
		return damage{errors.Join(err, errors.New("its pages have no checksums"))}
	}
	want := map[string]string{}
	for _, t := range schema {
		want[t.name] = t.sql
	}
	err = s.each("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL", func(row *sqlite3.Stmt) error {
		name := row.ColumnText(0)
		if ofIndex(name) {
			return nil
		}
		if sql, ok := want[name]; !ok || sql != row.ColumnText(1) {
			return damage{fmt.Errorf("%s is not as it was made", name)}
		}
		delete(want, name)
		return nil
	})
	if err == nil && len(want) > 0 {
		err = damage{fmt.Errorf("%d tables are missing", len(want))}
	}
	return err
}

// guard calls f, and says what an error of it means: the folder's own, that there is no time left, or damage.
func (s *session) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil { // SQLite in Go stumbles where SQLite in C would read beyond its memory
			err = fmt.Errorf("SQLite failed: %v", p)
		}
		var d damage
		switch {
		case err == nil || errors.Is(err, errStop) || errors.As(err, &d):
		case s.disk.unwrit != nil:
			err = s.disk.unwrit
		case s.ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT):
			err = errStop
		default:
			if s.disk.unread != nil {
				err = s.disk.unread
			}
			err = damage{err}
		}
	}()
	return f()
}

// stmt returns the statement for sql with these values.
func (s *session) stmt(sql string, values []any) (*sqlite3.Stmt, error) {
	st := s.stmts[sql]
	if st == nil {
		var err error
		if st, _, err = s.conn.Prepare(sql); err != nil {
			return nil, err
		}
		s.stmts[sql] = st
	}
	for i, v := range values {
		var err error
		switch v := v.(type) {
		case string:
			err = st.BindText(i+1, v)
		case int:
			err = st.BindInt(i+1, v)
		case int64:
			err = st.BindInt64(i+1, v)
		case bool:
			err = st.BindBool(i+1, v)
		case float64:
			err = st.BindFloat(i+1, v)
		case []byte:
			err = st.BindBlob(i+1, v)
		case nil:
			err = st.BindNull(i + 1)
		default:
			err = fmt.Errorf("a value of type %T has no column", v)
		}
		if err != nil {
			return nil, err
		}
	}
	return st, nil
}

// each calls f for each row of a query.
func (s *session) each(sql string, f func(*sqlite3.Stmt) error, values ...any) error {
	st, err := s.stmt(sql, values)
	if err != nil {
		return err
	}
	for st.Step() {
		if err := f(st); err != nil {
			return errors.Join(err, st.Reset())
		}
	}
	return errors.Join(st.Err(), st.Reset())
}

// number is the only value of a query; 0 if it has no row.
func (s *session) number(sql string, values ...any) (n int64, err error) {
	err = s.each(sql, func(row *sqlite3.Stmt) error {
		n = row.ColumnInt64(0)
		return nil
	}, values...)
	return n, err
}

// put runs a statement in the change that is open, or begins one.
func (s *session) put(sql string, values ...any) error {
	if !s.open {
		if s.ctx.Err() != nil {
			return errStop
		}
		if err := s.conn.Exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		s.open = true
	}
	st, err := s.stmt(sql, values)
	if err != nil {
		return err
	}
	return errors.Join(st.Exec(), st.Reset())
}

// wrote notes so many bytes in the open change. When there are enough it makes them final; when there is no time left it gives them up.
func (s *session) wrote(n int) error {
	s.bytes += n
	if s.ctx.Err() != nil {
		return errStop
	}
	if s.bytes < batchBytes {
		return nil
	}
	return s.commit()
}

// commit makes the open change final.
func (s *session) commit() error {
	if !s.open {
		return nil
	}
	err := s.conn.Exec("COMMIT")
	s.open, s.bytes = err != nil, 0
	return err
}

// close gives up an open change and closes the database.
func (s *session) close() error {
	defer s.disk.unmount()
	if s.conn == nil {
		return nil
	}
	return s.guard(func() error {
		s.conn.SetInterrupt(context.Background())
		var err error
		if s.open {
			// After a failed write there is nothing to take back with: the journal stays, and the next to open the file uses it.
			if err = s.conn.Exec("ROLLBACK"); s.disk.unwrit != nil {
				err = nil
			}
		}
		for _, st := range s.stmts {
			st.Close() // says again what the statement said
		}
		err = errors.Join(err, s.conn.Close())
		return errors.Join(err, s.disk.unwrit) // SQLite does not tell what closing a file said
	})
}

// check reads all of the database. The error is a damage when something is wrong.
func (s *session) check(ctx context.Context) error {
	defer s.conn.SetInterrupt(s.conn.SetInterrupt(ctx))
	var wrong []string
	err := s.each("PRAGMA integrity_check(5)", func(row *sqlite3.Stmt) error {
		if text := row.ColumnText(0); text != "ok" {
			wrong = append(wrong, strings.ReplaceAll(text, "\n", "; "))
		}
		return nil
	})
	if err == nil && len(wrong) == 0 {
		err = s.each("PRAGMA foreign_key_check", func(row *sqlite3.Stmt) error {
			wrong = append(wrong, "a row of "+row.ColumnText(0)+" has nothing above it")
			return nil
		})
	}
	if err == nil && len(wrong) > 0 {
		err = damage{errors.New(strings.Join(wrong, "; "))}
	}
	return err
}

// foreign tells whether there is a file under the database's name that is not ours. One that is empty, or of which the first page is only
// zeros, is; and so is one that a change to it was cut off in.
func foreign(folder Folder) (bool, error) {
	for _, name := range []string{journalName, Name} {
		ok, err := folder.Exists(name)
		if err != nil || name == Name && !ok || name == journalName && ok {
			return false, err
		}
	}
	f, err := folder.Open(Name, false)
	if err != nil {
		return false, err
	}
	head := make([]byte, pageSize)
	n, err := f.ReadAt(head, 0)
	if err == io.EOF || err != nil && f.Size() > 0 { // what can't be read can't be told, and may be ours
		err = nil
	}
	head = head[:n]
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	ours := len(bytes.Trim(head, "\x00")) == 0 || bytes.Contains(head, []byte(mark)) ||
		n >= 72 && binary.BigEndian.Uint32(head[68:]) == application || n < 100 && strings.HasPrefix(magic, string(head[:min(n, len(magic))]))
	return !ours, nil
}

// erase removes the database and its journal.
func erase(ctx context.Context, folder Folder) error {
	stop := func() error {
		if ctx.Err() != nil {
			return errStop
		}
		return nil
	}
	for _, name := range []string{Name, journalName} { // with the journal alone nothing can be spoiled
		if err := remove(folder, name, stop); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
