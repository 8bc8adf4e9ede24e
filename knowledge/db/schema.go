package db

import "strings"

// version is that of the tables. A database of another one is made anew.
const version = 1

// application marks the file as ours (PRAGMA application_id): "Alph".
const application = 0x416c7068

// Setup of a fresh file, before there is anything in it.
const fresh = `PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA encoding = 'UTF-8';`

// sums is the room in each page for its checksum (https://sqlite.org/cksumvfs.html), by which we know bit rot, and what other
// programs wrote. They pass it over.
const sums = 8

// Of every connection. What is deleted is overwritten (secure_delete); vfs.go tells about the rest.
const setup = `PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -4000; PRAGMA cache_spill = OFF; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;`

// schema makes what is in the file. docs/knowledge-db.md tells what it means; SQLite keeps these texts, and a file in
// which they are others is not ours to write to.
var schema = []struct{ name, sql string }{
	{"meta", `CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID`},
	{"settings", `CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID`},
	{"facts", `CREATE TABLE facts (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  time TEXT NOT NULL
)`},
	{"conversations", `CREATE TABLE conversations (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  started TEXT NOT NULL,
  updated TEXT NOT NULL,
  messages INTEGER NOT NULL
)`},
	{"messages", `CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL REFERENCES conversations (id),
  position INTEGER NOT NULL,
  role TEXT NOT NULL,
  text TEXT NOT NULL,
  time TEXT NOT NULL,
  model TEXT NOT NULL,
  partial INTEGER NOT NULL,
  UNIQUE (conversation, position)
)`},
	{"documents", `CREATE TABLE documents (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  language TEXT NOT NULL,
  size INTEGER NOT NULL,
  modified TEXT NOT NULL,
  sha256 BLOB,
  table_rows INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  model TEXT NOT NULL,
  note TEXT NOT NULL
)`},
	{"chunks", `CREATE TABLE chunks (
  id INTEGER PRIMARY KEY,
  document INTEGER NOT NULL REFERENCES documents (id),
  position INTEGER NOT NULL,
  locator TEXT NOT NULL,
  page INTEGER,
  text TEXT NOT NULL,
  start_byte INTEGER NOT NULL,
  end_byte INTEGER NOT NULL,
  UNIQUE (document, position)
)`},
	{"embeddings", `CREATE TABLE embeddings (
  chunk INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
  scale REAL NOT NULL,
  vector BLOB NOT NULL
)`},
	{"messages_fts", `CREATE VIRTUAL TABLE messages_fts USING fts5(text, content='messages', content_rowid='id', tokenize='unicode61 remove_diacritics 2')`},
	{"chunks_fts", `CREATE VIRTUAL TABLE chunks_fts USING fts5(text, content='chunks', content_rowid='id', tokenize='unicode61 remove_diacritics 2')`},
	{"messages_added", `CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
  INSERT INTO messages_fts (rowid, text) VALUES (new.id, new.text);
END`},
	{"messages_deleted", `CREATE TRIGGER messages_deleted AFTER DELETE ON messages BEGIN
  INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', old.id, old.text);
END`},
	{"chunks_added", `CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
  INSERT INTO chunks_fts (rowid, text) VALUES (new.id, new.text);
END`},
	{"chunks_deleted", `CREATE TRIGGER chunks_deleted AFTER DELETE ON chunks BEGIN
  INSERT INTO chunks_fts (chunks_fts, rowid, text) VALUES ('delete', old.id, old.text);
END`},
}

// ofIndex tells whether a table is one that FTS5 makes for an index of the schema.
func ofIndex(name string) bool {
	return strings.HasPrefix(name, "messages_fts_") || strings.HasPrefix(name, "chunks_fts_")
}

// mark is in the first page of each file of ours, whatever else in it is damaged.
const mark = "CREATE TRIGGER messages_added"

// magic is with what each SQLite file begins.
const magic = "SQLite format 3\x00"
