package store

// Generations has generations drawn by f, so that a test does the same each time.
func Generations(f func() uint64) { generation = f }
