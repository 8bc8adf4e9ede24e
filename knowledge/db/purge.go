package db

// What is deleted from an index of FTS5 stays in it, as a part that is said to be void, until its parts are merged into one. (It has an
// option to take things out at once, but a file with that can't be read by SQLite before 3.42.) So after a deletion that is meant
// to leave nothing, all parts are merged, some pages in each change. A row of meta says that this is due, and stays until it is done.

const (
	mergePages = 32
	freeLeast  = 512 // pages that may be free; they are zero, and used for what comes next
)

// purgeLater notes in the open change that an index has words of what is deleted.
func (k *known) purgeLater(s *session, index string) error {
	k.purging[index] = true
	return s.put("INSERT OR REPLACE INTO meta VALUES (?, 'due')", "purge "+index)
}

// purge takes such words out, and gives back room that is not needed.
func (k *known) purge(s *session) error {
	for index := range k.purging {
		begun, err := s.number("SELECT count(*) FROM meta WHERE name = ? AND value = 'begun'", "purge "+index)
		if err != nil {
			return err
		}
		for n := mergePages * int(2*begun-1); ; n = mergePages { // first a negative number: all parts are to be merged
			before := s.conn.TotalChanges()
			if err := s.put("INSERT INTO "+index+" ("+index+", rank) VALUES ('merge', ?)", n); err != nil {
				return err
			}
			done := s.conn.TotalChanges()-before < 2
			if done {
				err = s.put("DELETE FROM meta WHERE name = ?", "purge "+index)
			} else {
				err = s.put("INSERT OR REPLACE INTO meta VALUES (?, 'begun')", "purge "+index)
			}
			if err == nil {
				err = s.commit()
			}
			if err != nil {
				return err
			}
			if done {
				break
			}
		}
		delete(k.purging, index)
	}
	for k.loose {
		free, err := s.number("PRAGMA freelist_count")
		if err != nil {
			return err
		}
		all, err := s.number("PRAGMA page_count")
		if err != nil {
			return err
		}
		if free <= freeLeast || 4*free <= all {
			k.loose = false
			break
		}
		if err := s.put("PRAGMA incremental_vacuum(64)"); err != nil {
			return err
		}
		if err := s.commit(); err != nil {
			return err
		}
	}
	return nil
}
