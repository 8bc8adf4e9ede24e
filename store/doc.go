// Package store keeps what must not be lost: every word a person was told is
// saved, through pulled plugs, torn writes and failing sectors.
//
// There is one truth, an append-only journal in preallocated files (see
// journal.go for the layout of one and for why a power cut can't hurt it,
// segments.go for how there are more, compact.go for how what is deleted is taken out). This
// package gives it meaning: sessions, conversations, messages, answers that
// grow chunk by chunk, what is to be remembered (facts.go), and settings; which conversation goes on, what it is called,
// what was deleted and what replaced (see conversations.go). The list of
// conversations is kept in memory, and where each message is; what was said is read when it is asked for (read.go).
//
// A method that returns nil has written its records, asked the medium to flush
// them, read them back and compared them. A method that returns an error has
// saved nothing that the caller may rely on, and says so in one sentence.
//
// [Open] only reads. The first write of a session, or [Store.Begin], repairs
// what Open found damaged and marks the session as begun; [Store.End] marks it
// as cleanly ended. A journal whose last session has no end mark was cut off,
// and [Recovery] tells up to when it is known.
package store
